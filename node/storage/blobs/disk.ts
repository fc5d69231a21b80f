import fs from "node:fs";

/**
 * What the blob store asks of the operating system, as a seam: tests fail, fill and record it. Every call but `close` and
 * `sizeOf`, which never wait for the disk, runs in libuv's thread pool. Rejects with the system's own error.
 */
export interface BlobDisk {
  /** A new file, for writing; rejects when it is there already. */
  create(path: string): Promise<number>;
  /** A file or a directory, for reading or for syncing. */
  openExisting(path: string): Promise<number>;
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
  /** Names in a directory, in no order. */
  names(path: string): Promise<readonly string[]>;
  /** Fine if it is there already. */
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Whether there was such a file. */
  unlink(path: string): Promise<boolean>;
  close(fd: number): void;
}

/** The real disk. Callbacks instead of `fs.promises`: a small blob is six calls, and a `FileHandle` each costs as much again. */
export const systemDisk: BlobDisk = {
  create: (path) => call((done) => fs.open(path, "wx", 0o600, done)),
  openExisting: (path) => call((done) => fs.open(path, "r", done)),
  async write(fd, parts, position) {
    let rest = parts.filter((part) => part.length > 0);
    for (let at = position; rest.length > 0; ) {
      const written = await call<number>((done) => fs.writev(fd, rest, at, done));
      at += written;
      rest = behind(rest, written);
    }
  },
  async read(fd, into, position) {
    let filled = 0;
    while (filled < into.length) {
      const got = await call<number>((done) =>
        fs.read(fd, into, filled, into.length - filled, position + filled, done),
      );
      if (got === 0) break;
      filled += got;
    }
    return filled;
  },
  sizeOf: (fd) => fs.fstatSync(fd).size,
  sizeAt: (path) => orMissing(call<fs.Stats>((done) => fs.stat(path, done))).then((stats) => stats?.size),
  syncFile: (fd) => call((done) => fs.fdatasync(fd, done)),
  syncDirectory: (fd) => call((done) => fs.fsync(fd, done)),
  names: (path) => call((done) => fs.readdir(path, done)),
  async makeDirectory(path) {
    try {
      await call<void>((done) => fs.mkdir(path, 0o700, done));
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error;
    }
  },
  rename: (from, to) => call((done) => fs.rename(from, to, done)),
  async unlink(path) {
    const removed = await orMissing(call<true>((done) => fs.unlink(path, (error) => done(error, true))));
    return removed ?? false;
  },
  close: (fd) => fs.closeSync(fd),
};

/** The system's name for what went wrong, such as `ENOSPC`; undefined for an error that is not the system's. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

function call<T>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error === null ? resolve(value as T) : reject(error)));
  });
}

async function orMissing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** What is left of `parts` once the first `written` bytes are gone. */
function behind(parts: readonly Uint8Array[], written: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = written;
  for (const part of parts) {
    if (part.length > skip) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}
