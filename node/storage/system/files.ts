import fs from "node:fs";
import { type StorageDisk, systemCode } from "../disk.ts";

/** The part of a disk that is about files and names. */
export type DiskFiles = Omit<StorageDisk, "lock" | "createLevel" | "cutLevel" | "openLevel">;

/**
 * The operating system's files. Every call but `close` and `sizeOf`, which never wait for the disk, runs in libuv's thread
 * pool. Callbacks instead of `fs.promises`: a small blob is six calls, and a `FileHandle` each costs as much again.
 */
export const systemFiles: DiskFiles = {
  create: (path) => call((done) => fs.open(path, "wx", 0o600, done)),
  open: (path, access) => call((done) => fs.open(path, access === "read" ? "r" : "r+", done)),
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
  removeTree: (path) => call((done) => fs.rm(path, { recursive: true, force: true }, done)),
  rename: (from, to) => call((done) => fs.rename(from, to, done)),
  async unlink(path) {
    const removed = await orMissing(call<true>((done) => fs.unlink(path, (error) => done(error, true))));
    return removed ?? false;
  },
  async freeBytes(path) {
    const { bavail, bsize } = await call<fs.StatsFs>((done) => fs.statfs(path, done));
    return bavail * bsize;
  },
  close: (fd) => fs.closeSync(fd),
};

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
