import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Level } from "level";
import type { Write } from "../catalog/types.ts";
import { syncDirectory } from "./directories.ts";
import type { FailStop } from "./fail-stop.ts";
import type { StorageHooks } from "./hooks.ts";
import { damageInTables } from "./level-tables.ts";
import { syncWals } from "./level-wal.ts";

type Database = Level<Uint8Array, Uint8Array>;
type DatabaseSnapshot = ReturnType<Database["snapshot"]>;

/** How one LevelDB is opened; sizes in bytes. */
export interface LevelOptions {
  readonly path: string;
  readonly writeBufferBytes: number;
  readonly cacheBytes: number;
  readonly failStop: FailStop;
  readonly hooks: StorageHooks;
  /** Every LevelDB that is open, for whoever must close them all. */
  readonly openLevels: Set<LevelStore>;
}

/** One row, as it lies in LevelDB. */
export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Keys in `[from, before)`, in byte order. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly before: Uint8Array;
}

/** The files of a LevelDB are damaged or gone: another one must take its place. */
export class LevelDamagedError extends Error {
  override readonly name = "LevelDamagedError";
}

/** Another LevelDB handle has the folder open: in this process, or in another one. */
export class LevelLockedError extends Error {
  override readonly name = "LevelLockedError";
}

/**
 * Creates a LevelDB where there is none, its directory synced. The only way that creates: a missing `CURRENT` file
 * would otherwise turn a full store into an empty one without a word.
 */
export async function createLevel(options: LevelOptions): Promise<LevelStore> {
  return options.failStop.guard(`creating ${options.path}`, async () => {
    await mkdir(options.path);
    const store = await start(options, { createIfMissing: true, errorIfExists: true });
    await syncDirectory(options.path);
    await syncDirectory(dirname(options.path));
    return store;
  });
}

/**
 * Opens a LevelDB that exists, after checking its tables.
 * @throws {LevelDamagedError}
 * @throws {DepositoError} `storage-failed` for everything else, such as a full disk, which says nothing about its content.
 */
export async function openLevel(options: LevelOptions): Promise<LevelStore> {
  options.failStop.check();
  try {
    const damage = await damageInTables(options.path);
    if (damage !== undefined) throw new LevelDamagedError(damage);
    return await start(options, { createIfMissing: false, errorIfExists: false });
  } catch (error) {
    if (error instanceof LevelDamagedError) throw error;
    throw options.failStop.fail(`opening ${options.path}`, error);
  }
}

/** Opens the LevelDB, or creates it: for the lock only, which holds nothing that could be lost. */
export async function openOrCreateLevel(options: LevelOptions): Promise<LevelStore> {
  return start(options, { createIfMissing: true, errorIfExists: false });
}

async function start(
  options: LevelOptions,
  how: { readonly createIfMissing: boolean; readonly errorIfExists: boolean },
): Promise<LevelStore> {
  const database: Database = new Level(options.path, {
    keyEncoding: "view",
    valueEncoding: "view",
    // Rows are mostly digests and ids, and an uncompressed table can be checked without LevelDB.
    compression: false,
    writeBufferSize: options.writeBufferBytes,
    cacheSize: options.cacheBytes,
    ...how,
  });
  try {
    await database.open();
  } catch (error) {
    throw openFailure(options.path, error instanceof Error && error.cause !== undefined ? error.cause : error);
  }
  const store = new LevelStore(database, options);
  options.openLevels.add(store);
  return store;
}

// Told apart by text because LevelDB gives one code for "no such file" and "no space left", and only the first means
// that the content is gone.
function openFailure(path: string, cause: unknown): unknown {
  const code = cause instanceof Error ? (cause as { readonly code?: unknown }).code : undefined;
  const message = `${path}: ${messageOf(cause)}`;
  if (code === "LEVEL_LOCKED") return new LevelLockedError(message, { cause });
  const gone = /No such file|does not exist|Input\/output error/.test(message);
  return code === "LEVEL_CORRUPTION" || gone ? new LevelDamagedError(message, { cause }) : cause;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether LevelDB refused because the store was closed, by us. */
export function isClosedError(error: unknown): boolean {
  const code = error instanceof Error ? (error as { readonly code?: unknown }).code : undefined;
  return code === "LEVEL_DATABASE_NOT_OPEN" || code === "LEVEL_ITERATOR_NOT_OPEN" || code === "LEVEL_SNAPSHOT_NOT_OPEN";
}

/** An open LevelDB of raw bytes. Writes stop for good at the first failure of any write to the same disk. */
export class LevelStore {
  readonly path: string;
  readonly #database: Database;
  readonly #failStop: FailStop;
  readonly #hooks: StorageHooks;
  readonly #openLevels: Set<LevelStore>;

  constructor(database: Database, options: LevelOptions) {
    this.path = options.path;
    this.#database = database;
    this.#failStop = options.failStop;
    this.#hooks = options.hooks;
    this.#openLevels = options.openLevels;
  }

  /** The value, unverified. @throws LevelDB's own error when it notices damage by itself. */
  get(key: Uint8Array, snapshot?: LevelSnapshot): Uint8Array | undefined {
    return this.#database.getSync(key, { snapshot: snapshot?.inner });
  }

  /**
   * All or nothing. With `sync` this write is durable; the ones before it only if each was synced too, else after `sync()`.
   * @throws {DepositoError} `storage-failed`, then and ever after.
   */
  async write(writes: readonly Write[], options: { readonly sync: boolean }): Promise<void> {
    await this.#failStop.guard(`writing ${this.path}`, async () => {
      await this.#hooks("level-write");
      await this.#database.batch(writes.map(operationOf), { sync: options.sync });
      await this.#hooks("level-written");
    });
  }

  /** Makes every write so far durable. @throws {DepositoError} `storage-failed`, then and ever after. */
  async sync(): Promise<void> {
    await this.#failStop.guard(`syncing ${this.path}`, () => syncWals(this.path));
  }

  /**
   * Rows in key order, in groups of about `groupBytes`, all as of the first call. A walk that ends has seen every row that
   * LevelDB can find: its own errors are thrown, not skipped.
   */
  async *rows(range: KeyRange, groupBytes: number, snapshot?: LevelSnapshot): AsyncGenerator<readonly Row[]> {
    const iterator = this.#database.iterator({
      gte: range.from,
      lt: range.before,
      highWaterMarkBytes: groupBytes,
      snapshot: snapshot?.inner,
    });
    try {
      // Up to the empty group: LevelDB skips a block that it cannot decode, and reports that only at the end of the walk.
      for (;;) {
        const group = await iterator.nextv(1000);
        if (group.length === 0) return;
        yield group.map(([key, value]) => ({ key, value }));
      }
    } finally {
      await iterator.close();
    }
  }

  /** At most `limit` first rows of the range. */
  async first(range: KeyRange, limit: number, snapshot?: LevelSnapshot): Promise<readonly Row[]> {
    const iterator = this.#database.iterator({
      gte: range.from,
      lt: range.before,
      limit,
      highWaterMarkBytes: 1 << 20,
      snapshot: snapshot?.inner,
    });
    try {
      const rows: Row[] = [];
      for (;;) {
        // One more than there can be, so that LevelDB comes to the end and reports the blocks it skipped.
        const group = await iterator.nextv(limit + 1);
        if (group.length === 0) return rows;
        for (const [key, value] of group) rows.push({ key, value });
      }
    } finally {
      await iterator.close();
    }
  }

  snapshot(): LevelSnapshot {
    return new LevelSnapshot(this.#database.snapshot());
  }

  async close(): Promise<void> {
    this.#openLevels.delete(this);
    await this.#database.close();
  }
}

/** The content at one moment; must be closed. */
export class LevelSnapshot {
  readonly inner: DatabaseSnapshot;

  constructor(inner: DatabaseSnapshot) {
    this.inner = inner;
  }

  async close(): Promise<void> {
    await this.inner.close();
  }
}

function operationOf(write: Write) {
  return write.value === undefined
    ? { type: "del" as const, key: write.key }
    : { type: "put" as const, key: write.key, value: write.value };
}
