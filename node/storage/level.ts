import type { Write } from "../catalog/types.ts";
import {
  type KeyRange,
  LevelDamagedError,
  type LevelHandle,
  type LevelMemory,
  type LevelReader,
  type LevelSnapshot,
  type Row,
  type StorageDisk,
} from "./disk.ts";
import type { FailStop } from "./fail-stop.ts";

/** How one LevelDB is opened. */
export interface LevelOptions {
  readonly path: string;
  readonly memory: LevelMemory;
  readonly disk: StorageDisk;
  readonly failStop: FailStop;
  /** Every LevelDB that is open, for whoever must close them all. */
  readonly openLevels: Set<LevelStore>;
}

/** Creates a LevelDB where there is none; durable when it resolves. @throws {DepositoError} `storage-failed` */
export async function createLevel(options: LevelOptions): Promise<LevelStore> {
  const { path, memory, disk, failStop } = options;
  return new LevelStore(await failStop.guard(`creating ${path}`, () => disk.createLevel(path, memory)), options);
}

/**
 * Opens a LevelDB that exists.
 * @throws {LevelDamagedError}
 * @throws {DepositoError} `storage-failed` for everything else, such as a full disk, which says nothing about its content.
 */
export async function openLevel(options: LevelOptions): Promise<LevelStore> {
  const { path, memory, disk, failStop } = options;
  failStop.check();
  try {
    return new LevelStore(await disk.openLevel(path, memory), options);
  } catch (error) {
    if (error instanceof LevelDamagedError) throw error;
    throw failStop.fail(`opening ${path}`, error);
  }
}

/** An open LevelDB. Writes stop for good at the first failure of any write to the same disk. */
export class LevelStore implements LevelReader {
  readonly path: string;
  readonly #handle: LevelHandle;
  readonly #failStop: FailStop;
  readonly #openLevels: Set<LevelStore>;

  constructor(handle: LevelHandle, options: LevelOptions) {
    this.path = options.path;
    this.#handle = handle;
    this.#failStop = options.failStop;
    this.#openLevels = options.openLevels;
    this.#openLevels.add(this);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#handle.get(key);
  }

  rows(range: KeyRange, groupBytes: number): AsyncGenerator<readonly Row[]> {
    return this.#handle.rows(range, groupBytes);
  }

  first(range: KeyRange, limit: number): Promise<readonly Row[]> {
    return this.#handle.first(range, limit);
  }

  snapshot(): LevelSnapshot {
    return this.#handle.snapshot();
  }

  /**
   * All or nothing. With `sync` this write is durable; the ones before it only if each was synced too, else after `sync()`.
   * @throws {DepositoError} `storage-failed`, then and ever after.
   */
  async write(writes: readonly Write[], options: { readonly sync: boolean }): Promise<void> {
    await this.#failStop.guard(`writing ${this.path}`, () => this.#handle.write(writes, options));
  }

  /** Makes every write so far durable. @throws {DepositoError} `storage-failed`, then and ever after. */
  async sync(): Promise<void> {
    await this.#failStop.guard(`syncing ${this.path}`, () => this.#handle.sync());
  }

  async close(): Promise<void> {
    this.#openLevels.delete(this);
    await this.#handle.close();
  }
}
