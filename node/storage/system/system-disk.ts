import type { StorageDisk } from "../disk.ts";
import { systemFiles } from "./files.ts";
import { lockFolder } from "./folder-lock.ts";
import { createDatabase, openDatabase } from "./level-database.ts";
import { cutWal } from "./level-wal.ts";

/** The disk of production: the operating system's files, and LevelDB. */
export const systemDisk: StorageDisk = {
  ...systemFiles,
  lock: lockFolder,
  createLevel: createDatabase,
  cutLevel: cutWal,
  openLevel: openDatabase,
};
