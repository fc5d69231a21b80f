import type { LevelHandle, LevelReader, StorageDisk } from "../../node/storage/disk.ts";
import { systemDisk } from "../../node/storage/system/system-disk.ts";

export type DiskOperation =
  | "make-directory"
  | "remove-tree"
  | "create"
  | "open"
  | "write"
  | "read"
  | "sync-file"
  | "sync-directory"
  | "rename"
  | "unlink"
  | "create-level"
  | "cut-level"
  | "open-level"
  | "level-write"
  | "level-sync";

export interface DiskCall {
  readonly operation: DiskOperation;
  /** What it is done to; the new name of a rename. */
  readonly path: string;
  /** Of a read or a write of a file. */
  readonly bytes: number;
}

/** Any call can be put in another's place. */
export interface SpyDisk extends Mutable<StorageDisk> {
  /** Calls that have ended well, in the order they ended. */
  readonly done: DiskCall[];
  /** Called before each call; what it throws is the call's failure, what it awaits holds the call up. */
  before: (call: DiskCall) => void | Promise<void>;
  /** Who answers reads of a LevelDB: as a rule itself. */
  reads: (path: string, level: LevelReader) => Partial<LevelReader>;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Another disk, watched and disturbed. */
export function spyDisk(inner: StorageDisk = systemDisk): SpyDisk {
  const paths = new Map<number, string>();
  const watch = async <Result>(
    operation: DiskOperation,
    path: string,
    bytes: number,
    call: () => Promise<Result>,
  ): Promise<Result> => {
    const seen = { operation, path, bytes };
    await spy.before(seen);
    const result = await call();
    spy.done.push(seen);
    return result;
  };
  const opened = async (path: string, fd: number): Promise<number> => {
    paths.set(fd, path);
    return fd;
  };
  const reader = (path: string, level: LevelReader): LevelReader => ({
    get: (key) => level.get(key),
    rows: (range, groupBytes) => level.rows(range, groupBytes),
    first: (range, limit) => level.first(range, limit),
    ...spy.reads(path, level),
  });
  const watched = (path: string, level: LevelHandle): LevelHandle => ({
    get: (key) => reader(path, level).get(key),
    rows: (range, groupBytes) => reader(path, level).rows(range, groupBytes),
    first: (range, limit) => reader(path, level).first(range, limit),
    snapshot: () => level.snapshot(),
    close: () => level.close(),
    write: (writes, options) => watch("level-write", path, 0, () => level.write(writes, options)),
    sync: () => watch("level-sync", path, 0, () => level.sync()),
  });
  const nameOf = (fd: number) => paths.get(fd) ?? "unknown";
  const spy: SpyDisk = {
    done: [],
    before: () => undefined,
    reads: () => ({}),
    makeDirectory: (path) => watch("make-directory", path, 0, () => inner.makeDirectory(path)),
    removeTree: (path) => watch("remove-tree", path, 0, () => inner.removeTree(path)),
    create: (path) => watch("create", path, 0, async () => opened(path, await inner.create(path))),
    open: (path, access) => watch("open", path, 0, async () => opened(path, await inner.open(path, access))),
    write: (fd, parts, at) =>
      watch(
        "write",
        nameOf(fd),
        parts.reduce((sum, part) => sum + part.length, 0),
        () => inner.write(fd, parts, at),
      ),
    read: (fd, into, at) => watch("read", nameOf(fd), into.length, () => inner.read(fd, into, at)),
    syncFile: (fd) => watch("sync-file", nameOf(fd), 0, () => inner.syncFile(fd)),
    syncDirectory: (fd) => watch("sync-directory", nameOf(fd), 0, () => inner.syncDirectory(fd)),
    rename: (from, to) => watch("rename", to, 0, () => inner.rename(from, to)),
    unlink: (path) => watch("unlink", path, 0, () => inner.unlink(path)),
    createLevel: (path, memory) =>
      watch("create-level", path, 0, async () => watched(path, await inner.createLevel(path, memory))),
    cutLevel: (path) => watch("cut-level", path, 0, () => inner.cutLevel(path)),
    openLevel: (path, memory) =>
      watch("open-level", path, 0, async () => watched(path, await inner.openLevel(path, memory))),
    close: (fd) => inner.close(fd),
    sizeOf: (fd) => inner.sizeOf(fd),
    sizeAt: (path) => inner.sizeAt(path),
    names: (path) => inner.names(path),
    freeBytes: (path) => inner.freeBytes(path),
    lock: (path) => inner.lock(path),
  };
  return spy;
}

/** Whether the call changes something, or makes a change durable. */
export function isChange({ operation }: DiskCall): boolean {
  return !["open", "read", "open-level", "cut-level"].includes(operation);
}

/** The error the system gives for `code`. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
