import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Level } from "level";
import type { Write } from "../../catalog/types.ts";
import { syncDirectory } from "../directories.ts";
import {
  type KeyRange,
  LevelClosedError,
  LevelDamagedError,
  type LevelHandle,
  LevelLockedError,
  type LevelMemory,
  type LevelReader,
  type LevelSnapshot,
  type Row,
  systemCode,
} from "../disk.ts";
import { systemFiles } from "./files.ts";
import { damageInTables } from "./level-tables.ts";
import { syncWals } from "./level-wal.ts";

type Database = Level<Uint8Array, Uint8Array>;
type DatabaseSnapshot = ReturnType<Database["snapshot"]>;

/**
 * `StorageDisk.createLevel` on the real disk: the folder and its name are synced. Only this creates: with a missing
 * `CURRENT` file, LevelDB would otherwise turn a full store into an empty one without a word.
 */
export async function createDatabase(path: string, memory: LevelMemory): Promise<LevelHandle> {
  await mkdir(path);
  const database = await start(path, memory, { createIfMissing: true, errorIfExists: true });
  await syncDirectory(systemFiles, path);
  await syncDirectory(systemFiles, dirname(path));
  return database;
}

/** `StorageDisk.openLevel` on the real disk: after checking its tables. */
export async function openDatabase(path: string, memory: LevelMemory): Promise<LevelHandle> {
  const damage = await damageInTables(path);
  if (damage !== undefined) throw new LevelDamagedError(damage);
  return start(path, memory, { createIfMissing: false, errorIfExists: false });
}

/** Opens a LevelDB, or creates it: for the lock only, which holds nothing that could be lost. */
export async function openOrCreateDatabase(path: string, memory: LevelMemory): Promise<LevelHandle> {
  return start(path, memory, { createIfMissing: true, errorIfExists: false });
}

async function start(
  path: string,
  { writeBufferBytes, cacheBytes }: LevelMemory,
  how: { readonly createIfMissing: boolean; readonly errorIfExists: boolean },
): Promise<LevelHandle> {
  const database: Database = new Level(path, {
    keyEncoding: "view",
    valueEncoding: "view",
    // Rows are mostly digests and ids, and an uncompressed table can be checked without LevelDB.
    compression: false,
    writeBufferSize: writeBufferBytes,
    cacheSize: cacheBytes,
    ...how,
  });
  try {
    await database.open();
  } catch (error) {
    throw openFailure(path, error instanceof Error && error.cause !== undefined ? error.cause : error);
  }
  return new LevelDatabase(path, database);
}

// Told apart by text because LevelDB gives one code for "no such file" and "no space left", and only the first means
// that the content is gone.
function openFailure(path: string, cause: unknown): unknown {
  const message = `${path}: ${String(cause)}`;
  if (systemCode(cause) === "LEVEL_LOCKED") {
    const holder = message.includes("already held by process") ? "this process" : "another process";
    return new LevelLockedError(path, holder, { cause });
  }
  const gone = /No such file|does not exist|Input\/output error/.test(message);
  return systemCode(cause) === "LEVEL_CORRUPTION" || gone ? new LevelDamagedError(message, { cause }) : cause;
}

const closedCodes: readonly (string | undefined)[] = [
  "LEVEL_DATABASE_NOT_OPEN",
  "LEVEL_ITERATOR_NOT_OPEN",
  "LEVEL_SNAPSHOT_NOT_OPEN",
];

function readFailure(error: unknown): unknown {
  return closedCodes.includes(systemCode(error)) ? new LevelClosedError(String(error), { cause: error }) : error;
}

class DatabaseReader implements LevelReader {
  readonly #database: Database;
  readonly #snapshot: DatabaseSnapshot | undefined;

  constructor(database: Database, snapshot: DatabaseSnapshot | undefined) {
    this.#database = database;
    this.#snapshot = snapshot;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    try {
      return this.#database.getSync(key, { snapshot: this.#snapshot });
    } catch (error) {
      throw readFailure(error);
    }
  }

  async *rows(range: KeyRange, groupBytes: number): AsyncGenerator<readonly Row[]> {
    const iterator = this.#iterator(range, { highWaterMarkBytes: groupBytes });
    try {
      // Up to the empty group: LevelDB skips a block that it cannot decode, and reports that only at the end of the walk.
      for (;;) {
        const group = await iterator.nextv(1000);
        if (group.length === 0) return;
        yield group.map(([key, value]) => ({ key, value }));
      }
    } catch (error) {
      throw readFailure(error);
    } finally {
      await iterator.close();
    }
  }

  async first(range: KeyRange, limit: number): Promise<readonly Row[]> {
    const iterator = this.#iterator(range, { limit, highWaterMarkBytes: 1 << 20 });
    try {
      const rows: Row[] = [];
      for (;;) {
        // One more than there can be, so that LevelDB comes to the end and reports the blocks it skipped.
        const group = await iterator.nextv(limit + 1);
        if (group.length === 0) return rows;
        for (const [key, value] of group) rows.push({ key, value });
      }
    } catch (error) {
      throw readFailure(error);
    } finally {
      await iterator.close();
    }
  }

  #iterator(range: KeyRange, options: { readonly limit?: number; readonly highWaterMarkBytes: number }) {
    try {
      const snapshot = this.#snapshot;
      return this.#database.iterator({ gte: range.from, lt: range.before, snapshot, ...options });
    } catch (error) {
      throw readFailure(error);
    }
  }
}

class LevelDatabase implements LevelHandle {
  readonly #path: string;
  readonly #database: Database;
  readonly #reader: DatabaseReader;

  constructor(path: string, database: Database) {
    this.#path = path;
    this.#database = database;
    this.#reader = new DatabaseReader(database, undefined);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#reader.get(key);
  }

  rows(range: KeyRange, groupBytes: number): AsyncGenerator<readonly Row[]> {
    return this.#reader.rows(range, groupBytes);
  }

  first(range: KeyRange, limit: number): Promise<readonly Row[]> {
    return this.#reader.first(range, limit);
  }

  write(writes: readonly Write[], options: { readonly sync: boolean }): Promise<void> {
    return this.#database.batch(writes.map(operationOf), { sync: options.sync });
  }

  sync(): Promise<void> {
    return syncWals(this.#path);
  }

  snapshot(): LevelSnapshot {
    const snapshot = this.#database.snapshot();
    const reader = new DatabaseReader(this.#database, snapshot);
    return {
      get: (key) => reader.get(key),
      rows: (range, groupBytes) => reader.rows(range, groupBytes),
      first: (range, limit) => reader.first(range, limit),
      close: () => snapshot.close(),
    };
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

function operationOf(write: Write) {
  return write.value === undefined
    ? { type: "del" as const, key: write.key }
    : { type: "put" as const, key: write.key, value: write.value };
}
