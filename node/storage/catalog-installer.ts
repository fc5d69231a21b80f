import { DepositoError } from "../base/errors.ts";
import type { Write } from "../catalog/types.ts";
import { type AppliedOf, createCatalog, openCatalog } from "./catalog-files.ts";
import type { CatalogStoreOnDisk } from "./catalog-store.ts";
import { syncDirectory } from "./directories.ts";
import type { Place } from "./place.ts";
import type { CatalogInstaller, CatalogStore } from "./types.ts";

/** What the owner of the current catalog does at the end of an installation. */
export interface CatalogSwitch {
  /** Makes `generation` the current one, durably; then closes and removes the former. */
  (generation: number, catalog: CatalogStoreOnDisk): Promise<void>;
}

/** Fills a new generation beside the current catalog; nobody sees it before `complete`. */
export class CatalogInstallerOnDisk implements CatalogInstaller {
  readonly #place: Place;
  readonly #generation: number;
  readonly #catalog: CatalogStoreOnDisk;
  readonly #appliedOf: AppliedOf;
  readonly #switchTo: CatalogSwitch;
  #ended = false;

  private constructor(
    place: Place,
    to: { readonly generation: number; readonly catalog: CatalogStoreOnDisk },
    seams: { readonly appliedOf: AppliedOf; readonly switchTo: CatalogSwitch },
  ) {
    this.#place = place;
    this.#generation = to.generation;
    this.#catalog = to.catalog;
    this.#appliedOf = seams.appliedOf;
    this.#switchTo = seams.switchTo;
  }

  static async start(
    place: Place,
    generation: number,
    seams: { readonly appliedOf: AppliedOf; readonly switchTo: CatalogSwitch },
  ): Promise<CatalogInstallerOnDisk> {
    return new CatalogInstallerOnDisk(place, { generation, catalog: await createCatalog(place, generation) }, seams);
  }

  async write(writes: readonly Write[]): Promise<void> {
    if (this.#ended) throw new DepositoError("storage-failed", "the installation has ended");
    await this.#catalog.write(writes, { sync: false });
  }

  async complete(): Promise<CatalogStore> {
    if (this.#ended) throw new DepositoError("storage-failed", "the installation has ended");
    this.#ended = true;
    await this.#catalog.write([], { sync: true });
    await this.#catalog.close();
    await syncDirectory(this.#place.disk, this.#place.layout.catalog(this.#generation));
    // Read back from disk before anything depends on it.
    const opened = await openCatalog(this.#place, this.#generation, this.#appliedOf);
    if (typeof opened === "string") {
      throw this.#place.failStop.fail("the installed catalog cannot be read back", new Error(opened));
    }
    await this.#switchTo(this.#generation, opened.catalog);
    return opened.catalog;
  }

  async cancel(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#catalog.close();
    await this.#place.disk.removeTree(this.#place.layout.catalog(this.#generation));
  }
}
