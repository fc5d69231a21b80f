import { hash } from "node:crypto";
import type { Random } from "../../../node/base/clock.ts";
import { hasCode } from "../../../node/base/errors.ts";
import type { BlobId, Incarnation, Sha256 } from "../../../node/base/ids.ts";
import { silentLogger } from "../../../node/base/logger.ts";
import { type FileBlobStore, openFileBlobStore } from "../../../node/storage/blobs/file-blob-store.ts";
import type { StorageDisk } from "../../../node/storage/disk.ts";
import type { CatalogStore, OpenedStores } from "../../../node/storage/types.ts";
import { stream, type TestBlob } from "../../storage/blobs/builders.ts";
import { appliedRow, base, entry, founding, openDirectory, position, vote } from "../../storage/support.ts";
import { rowsAfter, writesOf } from "../../storage/turns.ts";
import type { History } from "./history.ts";

/** What one life of a process does on a disk, until the disk ends it. */
export interface LifeOptions {
  readonly disk: StorageDisk;
  readonly random: Random;
  readonly history: History;
  /** Told once the history was found whole. */
  readonly onOpen: () => void;
}

const path = "/n1";
const incarnation = "11111111-1111-4111-8111-111111111111" as Incarnation;

/** Further attempts of who does not see that a failed disk is to be left alone; nothing may be acknowledged to them. */
const carelessAttempts = 20;

/** Opens everything, compares it with the history, and works at random; ends only when the disk has failed. */
export async function live(options: LifeOptions): Promise<void> {
  const { disk, history, onOpen } = options;
  try {
    const { stores, blobs } = await openAll(disk);
    await history.check(stores, blobs);
    onOpen();
    await Promise.all([new Worker(options, stores).work(), storeBlobs(options, blobs)]);
  } catch (error) {
    if (!hasCode(error, "storage-failed")) throw error;
  }
}

/** Opens a node's stores and blobs, and founds what is blank. */
export async function openAll(
  disk: StorageDisk,
): Promise<{ readonly stores: OpenedStores; readonly blobs: FileBlobStore }> {
  const directory = await openDirectory(path, { disk });
  if (directory.identity === undefined) await directory.claim(incarnation);
  if (directory.identity?.clusterId === undefined) await directory.found(founding, [appliedRow(base)], base);
  const stores = await directory.open();
  const { boots } = directory;
  const parts = { dataDir: path, boots, disk, logger: silentLogger, metrics: undefined, batching: true };
  return { stores, blobs: await openFileBlobStore(parts) };
}

/** The one owner of log and catalog. */
class Worker {
  readonly #random: Random;
  readonly #history: History;
  readonly #stores: OpenedStores;
  #catalog: CatalogStore;
  #term: number;

  constructor({ random, history }: LifeOptions, stores: OpenedStores) {
    this.#random = random;
    this.#history = history;
    this.#stores = stores;
    this.#catalog = stores.catalog as CatalogStore;
    this.#term = history.hardState.term;
  }

  async work(): Promise<never> {
    for (let failures = 0; ; ) {
      try {
        await this.#step();
      } catch (error) {
        failures += 1;
        if (!hasCode(error, "storage-failed") || failures > carelessAttempts) throw error;
      }
    }
  }

  async #step(): Promise<void> {
    const [choice, history] = [this.#random(), this.#history];
    if (choice < 0.4) await this.#append(history.lastIndex + 1);
    else if (choice < 0.5)
      await this.#append(this.#between(Math.max(history.turnTaken + 1, history.logBase), history.lastIndex) + 1);
    else if (choice < 0.55) await this.#persist([]);
    else if (choice < 0.8) await this.#apply();
    else if (choice < 0.95) await this.#trim();
    else await this.#install();
  }

  /** Appends from `first` on; what lies there is replaced, by a new term. */
  async #append(first: number): Promise<void> {
    const isReplaced = first <= this.#history.lastIndex;
    if (isReplaced || this.#random() < 0.1) this.#term += 1;
    const count = 1 + Math.floor(this.#random() * 6);
    const data = (index: number) => `turn ${index - 1} `.padEnd(this.#random() < 0.1 ? 5000 : 20, "x");
    await this.#persist(Array.from({ length: count }, (_, at) => entry(first + at, this.#term, data(first + at))));
  }

  async #persist(append: readonly ReturnType<typeof entry>[]): Promise<void> {
    const { hardState } = this.#history;
    if (append.length === 0) this.#term += 1;
    const voted = this.#term > hardState.term ? vote(this.#term, "n2") : undefined;
    const step = { type: "persist", hardState: voted, append } as const;
    this.#history.logUnderWay ??= step;
    await this.#stores.log.persist(step);
    this.#history.logged(step);
  }

  async #apply(): Promise<void> {
    const history = this.#history;
    const from = history.turnTaken + 1;
    const to = this.#between(from - 1, history.lastIndex - 1);
    if (to < from) return;
    const sync = this.#random() < 0.2;
    history.turns.push(to);
    const writes = Array.from({ length: to - from + 1 }, (_, at) => writesOf(from + at)).flat();
    await this.#catalog.write([...writes, appliedRow(position(to + 1, history.termOf(to + 1)))], { sync });
    history.turnTaken = to;
    if (sync) history.catalogIsAfter(to);
  }

  /** Forgets entries whose turns are synced in the catalog. */
  async #trim(): Promise<void> {
    const history = this.#history;
    const to = this.#between(history.logBase, Math.max(history.logBase, (history.turns[0] ?? 0) + 1));
    if (to === history.logBase) return;
    history.logBase = to;
    await this.#stores.log.trim(position(to, history.termOf(to)));
  }

  /** A snapshot from elsewhere takes the place of the catalog, and then of the log. */
  async #install(): Promise<void> {
    const history = this.#history;
    const turn = history.lastIndex + Math.floor(this.#random() * 5);
    const at = position(turn + 1, this.#term);
    const installer = await this.#stores.installCatalog();
    const rows = [...rowsAfter(turn)].map(([key, value]) => ({ key: Buffer.from(key), value: Buffer.from(value) }));
    await installer.write([...rows, appliedRow(at)]);
    if (this.#random() < 0.2) return installer.cancel();
    history.turns.push(turn);
    const step = { type: "replace", index: turn + 1 } as const;
    history.logUnderWay ??= step;
    this.#catalog = await installer.complete();
    history.catalogIsAfter(turn);
    history.turnTaken = turn;
    await this.#stores.log.reset(at);
    history.logged(step);
  }

  /** A whole number from `low` to `high`. */
  #between(low: number, high: number): number {
    return low + Math.floor(this.#random() * (high - low + 1));
  }
}

async function storeBlobs({ random, history }: LifeOptions, store: FileBlobStore): Promise<never> {
  const lane = async (): Promise<never> => {
    for (;;) {
      const kept = [...history.blobs.values()].filter(({ state }) => state === "kept");
      const old = kept[Math.floor(random() * kept.length * 2)];
      if (old !== undefined && kept.length > 10) {
        const { blobId } = old.blob.facts;
        history.blobs.set(blobId, { ...old, state: "removing" });
        await store.remove([blobId]);
        history.blobs.set(blobId, { ...old, state: "removed" });
        continue;
      }
      const blobs = Array.from({ length: 1 + Math.floor(random() * 3) }, () => blobFrom(random));
      if (random() < 0.5) await put(blobs, () => store.store(blobs));
      else for (const blob of blobs) await put([blob], () => stream(store, blob, 7000));
    }
  };
  const put = async (blobs: readonly TestBlob[], storing: () => Promise<unknown>) => {
    const note = (state: "storing" | "kept" | "removed") => {
      for (const blob of blobs) history.blobs.set(blob.facts.blobId, { blob, state });
    };
    note("storing");
    try {
      await storing();
      note("kept");
    } catch (error) {
      if (!hasCode(error, "not-enough-space")) throw error;
      note("removed");
    }
  };
  return await Promise.race([lane(), lane()]);
}

/** A blob that the seed decides; few shelves, so that they are shared. */
function blobFrom(random: Random): TestBlob {
  const bytes = Buffer.alloc(Math.floor(random() ** 3 * 40_000), `${random()}`);
  const digits = () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  const rest = digits() + digits();
  const shelf = Math.floor(random() * 3);
  const blobId = `0${shelf}${digits().slice(2)}-0000-4000-8000-${rest.slice(0, 12)}` as BlobId;
  return { facts: { blobId, sizeBytes: bytes.length, sha256: hash("sha256", bytes, "hex") as Sha256 }, bytes };
}
