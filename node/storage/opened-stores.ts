import { invariant } from "../base/invariant.ts";
import { type AppliedOf, openCatalog, type UsableCatalog } from "./catalog-files.ts";
import { CatalogInstallerOnDisk } from "./catalog-installer.ts";
import type { CatalogStoreOnDisk } from "./catalog-store.ts";
import { namesIn } from "./directories.ts";
import type { HardStateFile } from "./hard-state-file.ts";
import { meaningOf } from "./layout.ts";
import { openLog } from "./log-recovery.ts";
import type { LogStoreOnDisk } from "./log-store.ts";
import type { Place } from "./place.ts";
import type { CatalogInstaller, CatalogStore, OpenedStores } from "./types.ts";

/** Log and catalog of a founded directory, and the switch from one catalog generation to the next. */
export class OpenedStoresOnDisk implements OpenedStores {
  readonly log: LogStoreOnDisk;
  readonly #place: Place;
  readonly #hardState: HardStateFile;
  readonly #appliedOf: AppliedOf;
  readonly #installers = new Set<CatalogInstaller>();
  readonly #atOpen: CatalogStoreOnDisk | undefined;
  #current: CatalogStoreOnDisk | undefined;
  #newestGeneration: number;

  private constructor(
    place: Place,
    hardState: HardStateFile,
    stores: { readonly log: LogStoreOnDisk; readonly catalog: CatalogStoreOnDisk | undefined },
    appliedOf: AppliedOf,
  ) {
    this.#place = place;
    this.#hardState = hardState;
    this.#appliedOf = appliedOf;
    this.log = stores.log;
    this.#atOpen = stores.catalog;
    this.#current = stores.catalog;
    this.#newestGeneration = hardState.state.catalogGeneration;
  }

  static async open(place: Place, hardState: HardStateFile, appliedOf: AppliedOf): Promise<OpenedStoresOnDisk> {
    await removeStrayGenerations(place, hardState);
    const usable = await openUsableCatalog(place, hardState, appliedOf);
    const log = await openLog(place, hardState, usable?.applied).catch(async (error: unknown) => {
      await usable?.catalog.close();
      throw error;
    });
    const behind = usable !== undefined && usable.applied.index < log.recovered.base.index;
    if (behind) {
      place.logger.error({ applied: usable.applied, base: log.recovered.base }, "the catalog lost what was applied");
      await usable.catalog.close();
    }
    return new OpenedStoresOnDisk(place, hardState, { log, catalog: behind ? undefined : usable?.catalog }, appliedOf);
  }

  get catalog(): CatalogStore | undefined {
    return this.#atOpen;
  }

  async installCatalog(): Promise<CatalogInstaller> {
    this.#newestGeneration += 1;
    const installer = await CatalogInstallerOnDisk.start(this.#place, this.#newestGeneration, {
      appliedOf: this.#appliedOf,
      switchTo: (generation, catalog) => this.#switchTo(generation, catalog),
    });
    this.#installers.add(installer);
    return installer;
  }

  async condemnCatalog(): Promise<void> {
    await this.#hardState.update({ catalogCondemned: true });
  }

  async close(): Promise<void> {
    for (const installer of this.#installers) await installer.cancel();
    await this.log.close();
    await this.#current?.close();
  }

  async #switchTo(generation: number, catalog: CatalogStoreOnDisk): Promise<void> {
    const former = { generation: this.#hardState.state.catalogGeneration, catalog: this.#current };
    invariant(generation > former.generation, () => `catalog ${generation} after ${former.generation}`);
    await this.#hardState.update({ catalogGeneration: generation, catalogCondemned: false });
    this.#current = catalog;
    await former.catalog?.close();
    await this.#place.disk.removeTree(this.#place.layout.catalog(former.generation));
  }
}

async function openUsableCatalog(
  place: Place,
  hardState: HardStateFile,
  appliedOf: AppliedOf,
): Promise<UsableCatalog | undefined> {
  const { catalogGeneration, catalogCondemned } = hardState.state;
  if (catalogGeneration === 0) return undefined; // it joined, and has not installed one yet
  const opened = catalogCondemned ? "condemned before" : await openCatalog(place, catalogGeneration, appliedOf);
  if (typeof opened !== "string") return opened;
  place.logger.error({ generation: catalogGeneration, finding: opened }, "the catalog is damaged");
  return undefined;
}

/** Removes what an installation or a reset that did not finish has left. */
export async function removeStrayGenerations(place: Place, hardState: HardStateFile): Promise<void> {
  const { logGeneration, catalogGeneration } = hardState.state;
  const current = new Set([place.layout.log(logGeneration), place.layout.catalog(catalogGeneration)]);
  for (const name of await namesIn(place.disk, place.layout.root)) {
    const meaning = meaningOf(name);
    if (meaning.type !== "generation") continue;
    const path = place.layout[meaning.of](meaning.generation);
    if (current.has(path)) continue;
    place.logger.info({ path }, "removing what an unfinished switch left");
    await place.disk.removeTree(path);
  }
}
