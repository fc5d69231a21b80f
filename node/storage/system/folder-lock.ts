import { mkdir, stat } from "node:fs/promises";
import { type DiskLock, type LevelHandle, LevelLockedError } from "../disk.ts";
import { openOrCreateDatabase } from "./level-database.ts";

// Also keeps the LevelDB reachable: were it collected, its lock would go with it.
const heldHere = new Map<string, LevelHandle | "being-opened">();

/**
 * `StorageDisk.lock` on the real disk: an empty LevelDB, held open.
 *
 * LevelDB takes a POSIX record lock on the folder's `LOCK` file, which the kernel drops the moment the process dies,
 * however it dies: there is no stale lock. It also drops it when this process closes *any* descriptor of that file, and
 * LevelDB itself opens and closes it when asked to open a folder twice. Hence the folder is used for nothing else, and a
 * second open within the process is refused here, by the folder's inode, before LevelDB hears of it.
 */
export async function lockFolder(path: string): Promise<DiskLock> {
  await mkdir(path, { recursive: true });
  const { dev, ino } = await stat(path, { bigint: true });
  const key = `${dev}:${ino}`;
  if (heldHere.has(key)) throw new LevelLockedError(path, "this process");
  heldHere.set(key, "being-opened");
  try {
    const level = await openOrCreateDatabase(path, { writeBufferBytes: 64 * 1024, cacheBytes: 64 * 1024 });
    heldHere.set(key, level);
    return {
      release: async () => {
        await level.close();
        heldHere.delete(key);
      },
    };
  } catch (error) {
    heldHere.delete(key);
    throw error;
  }
}
