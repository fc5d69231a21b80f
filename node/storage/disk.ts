import type { Write } from "../catalog/types.ts";

/**
 * Everything that this folder asks of the operating system and of LevelDB, as one seam.
 *
 *   data directory · hard state · log store · catalog store · blob store          run unchanged over either
 *   ───────────────────────────── StorageDisk ─────────────────────────────
 *   `systemDisk` (system/system-disk.ts)      │  the simulator's disk, in memory: it forgets, tears, fails, fills and flips
 *   node:fs, LevelDB and its files     │
 *
 * Files reject with the system's own error, told apart by `systemCode`. What was written is durable only behind a sync:
 * bytes behind `syncFile`, names behind `syncDirectory`.
 */
export interface StorageDisk {
  /** A new file, for writing; rejects with `EEXIST` when it is there already. */
  create(path: string): Promise<number>;
  /** A file that exists, or a directory for reading; `update` reads and writes. */
  open(path: string, access: "read" | "update"): Promise<number>;
  /** Writes all of `parts`, one behind the other, from `position` on. */
  write(fd: number, parts: readonly Uint8Array[], position: number): Promise<void>;
  /** Fills `into` from `position` on, or less when the file ends; how many bytes were read. */
  read(fd: number, into: Buffer, position: number): Promise<number>;
  /** Length of an open file. */
  sizeOf(fd: number): number;
  /** Length of a file; undefined when there is none. */
  sizeAt(path: string): Promise<number | undefined>;
  /** Syncs the bytes and whatever is needed to find them (fdatasync). */
  syncFile(fd: number): Promise<void>;
  /** Syncs the names in an open directory. */
  syncDirectory(fd: number): Promise<void>;
  close(fd: number): void;

  /** Names in a directory, in no order. */
  names(path: string): Promise<readonly string[]>;
  /** Fine if it is there already. */
  makeDirectory(path: string): Promise<void>;
  /** Removes a directory, or a LevelDB, with everything in it; fine if it is not there. */
  removeTree(path: string): Promise<void>;
  /** Replaces what bears the new name. */
  rename(from: string, to: string): Promise<void>;
  /** Whether there was such a file. */
  unlink(path: string): Promise<boolean>;
  /** What an unprivileged process may still write on the file system of `path`, in bytes. */
  freeBytes(path: string): Promise<number>;

  /**
   * Takes the lock that is the folder `path`, made with its parents where it is missing. Nobody else has it until it is
   * released, or until the process ends, however it ends.
   * @throws {LevelLockedError}
   */
  lock(path: string): Promise<DiskLock>;

  /**
   * Creates a LevelDB where there is nothing; it and its name are durable when it resolves. The only way that creates.
   */
  createLevel(path: string, memory: LevelMemory): Promise<LevelHandle>;
  /**
   * Cuts what a crash left of the LevelDB's latest batches at the first that is missing or damaged, so that what opens is
   * the state after one of its batches, the last synced one or a later; undefined when nothing had to be cut. Nobody may
   * have it open.
   */
  cutLevel(path: string): Promise<LevelCut | undefined>;
  /**
   * Opens a LevelDB that exists. Without `cutLevel` before, batches that were not synced may be missing in the middle.
   * @throws {LevelDamagedError} and {LevelLockedError}; anything else says nothing about its content.
   */
  openLevel(path: string, memory: LevelMemory): Promise<LevelHandle>;
}

/** What one LevelDB may take, in bytes; a write buffer may be held twice. */
export interface LevelMemory {
  readonly writeBufferBytes: number;
  readonly cacheBytes: number;
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

/**
 * Reads of a LevelDB, or of one moment of it, unverified: a damaged value may come back as if it were right.
 * @throws {LevelClosedError}; LevelDB's own error when it notices damage by itself.
 */
export interface LevelReader {
  get(key: Uint8Array): Uint8Array | undefined;
  /**
   * Rows in key order, in groups of about `groupBytes`, all as of the first call. A walk that ends has seen every row that
   * LevelDB can find: its own errors are thrown, not skipped.
   */
  rows(range: KeyRange, groupBytes: number): AsyncGenerator<readonly Row[]>;
  /** At most `limit` first rows of the range. */
  first(range: KeyRange, limit: number): Promise<readonly Row[]>;
}

/** The content at one moment; must be closed. */
export interface LevelSnapshot extends LevelReader {
  close(): Promise<void>;
}

/** An open LevelDB of raw bytes. */
export interface LevelHandle extends LevelReader {
  /** All or nothing. With `sync` this write is durable; the ones before it only if each was synced too, else after `sync()`. */
  write(writes: readonly Write[], options: { readonly sync: boolean }): Promise<void>;
  /** Makes every write so far durable. */
  sync(): Promise<void>;
  snapshot(): LevelSnapshot;
  /** Ends every read under way. */
  close(): Promise<void>;
}

/** What `cutLevel` took away. */
export interface LevelCut {
  readonly path: string;
  readonly keptBytes: number;
  readonly lostBytes: number;
  readonly finding: string;
  /** Newer files that went with it. */
  readonly removed: readonly string[];
}

export interface DiskLock {
  release(): Promise<void>;
}

/** The files of a LevelDB are damaged or gone: another one must take its place. */
export class LevelDamagedError extends Error {
  override readonly name = "LevelDamagedError";
}

/** Another handle has the folder open. */
export class LevelLockedError extends Error {
  override readonly name = "LevelLockedError";
  readonly holder: "this process" | "another process";

  constructor(path: string, holder: "this process" | "another process", options?: ErrorOptions) {
    super(`${path} is held open by ${holder}`, options);
    this.holder = holder;
  }
}

/** The handle, or the snapshot, was closed by its owner, before the read or during it. */
export class LevelClosedError extends Error {
  override readonly name = "LevelClosedError";
}

/** The system's name for what went wrong, such as `ENOSPC`; undefined for an error that is not the system's. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
