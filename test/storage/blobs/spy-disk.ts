import type { StorageDisk } from "../../../node/storage/disk.ts";
import { systemDisk } from "../../../node/storage/system-disk.ts";

export type DiskOperation =
  | "make-directory"
  | "create"
  | "open"
  | "write"
  | "read"
  | "sync-file"
  | "sync-directory"
  | "rename"
  | "unlink";

export interface DiskCall {
  readonly operation: DiskOperation;
  /** What it is done to; the new name of a rename. */
  readonly path: string;
  /** Of a read or a write. */
  readonly bytes: number;
}

export interface SpyDisk extends StorageDisk {
  /** Calls that have ended well, in the order they ended. */
  readonly done: DiskCall[];
  /** Called before each call; what it throws is the call's failure, what it awaits holds the call up. */
  before: (call: DiskCall) => void | Promise<void>;
}

/** The real disk, watched and disturbed. */
export function spyDisk(): SpyDisk {
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
  const nameOf = (fd: number) => paths.get(fd) ?? "unknown";
  const spy: SpyDisk = {
    ...systemDisk,
    done: [],
    before: () => undefined,
    makeDirectory: (path) => watch("make-directory", path, 0, () => systemDisk.makeDirectory(path)),
    create: (path) => watch("create", path, 0, async () => opened(path, await systemDisk.create(path))),
    open: (path, access) => watch("open", path, 0, async () => opened(path, await systemDisk.open(path, access))),
    write: (fd, parts, at) =>
      watch(
        "write",
        nameOf(fd),
        parts.reduce((sum, part) => sum + part.length, 0),
        () => systemDisk.write(fd, parts, at),
      ),
    read: (fd, into, at) => watch("read", nameOf(fd), into.length, () => systemDisk.read(fd, into, at)),
    syncFile: (fd) => watch("sync-file", nameOf(fd), 0, () => systemDisk.syncFile(fd)),
    syncDirectory: (fd) => watch("sync-directory", nameOf(fd), 0, () => systemDisk.syncDirectory(fd)),
    rename: (from, to) => watch("rename", to, 0, () => systemDisk.rename(from, to)),
    unlink: (path) => watch("unlink", path, 0, () => systemDisk.unlink(path)),
  };
  return spy;
}

/** The error the system gives for `code`. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
