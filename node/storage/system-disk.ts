import type { StorageDisk } from "./disk.ts";
import { createDatabase, openDatabase } from "./level-database.ts";
import { cutWal } from "./level-wal.ts";
import { systemFiles } from "./system-files.ts";
import { lockFolder } from "./system-lock.ts";

/** The disk of production: the operating system's files, and LevelDB. */
export const systemDisk: StorageDisk = {
  ...systemFiles,
  lock: lockFolder,
  createLevel: createDatabase,
  cutLevel: cutWal,
  openLevel: openDatabase,
};
