import { mkdir, stat } from "node:fs/promises";
import { DepositoError } from "../base/errors.ts";
import { FailStop } from "./fail-stop.ts";
import { noHooks } from "./hooks.ts";
import type { Layout } from "./layout.ts";
import { LevelDamagedError, LevelLockedError, type LevelStore, openOrCreateLevel } from "./level.ts";

/**
 * The lock of a data directory: an empty LevelDB in `lock/`, held open.
 *
 * LevelDB takes a POSIX record lock on `lock/LOCK`, which the kernel drops the moment the process dies, however it dies:
 * there is no stale lock. It also drops it when this process closes *any* descriptor of that file, and LevelDB itself
 * opens and closes it when asked to open a folder twice. Hence this folder is used for nothing else, and a second open
 * within the process is refused here, by the folder's inode, before LevelDB hears of it.
 */
export interface DirectoryLock {
  /** Lets another process take the directory. */
  release(): Promise<void>;
}

// Also keeps the LevelDB reachable: were it collected, its lock would go with it.
const heldHere = new Map<string, LevelStore | "being-opened">();

/**
 * Takes the lock, or refuses at once.
 * @throws {DepositoError} `data-directory-in-use`
 */
export async function lockDirectory(layout: Layout): Promise<DirectoryLock> {
  await mkdir(layout.lock, { recursive: true });
  const { dev, ino } = await stat(layout.lock, { bigint: true });
  const key = `${dev}:${ino}`;
  if (heldHere.has(key)) throw inUse(layout, "by this process", undefined);
  heldHere.set(key, "being-opened");
  try {
    const level = await openOrCreateLevel({
      path: layout.lock,
      writeBufferBytes: 64 * 1024,
      cacheBytes: 64 * 1024,
      failStop: new FailStop(),
      hooks: noHooks,
      openLevels: new Set(),
    });
    heldHere.set(key, level);
    return {
      release: async () => {
        await level.close();
        heldHere.delete(key);
      },
    };
  } catch (error) {
    heldHere.delete(key);
    throw refusal(layout, error);
  }
}

function refusal(layout: Layout, error: unknown): DepositoError {
  if (error instanceof LevelLockedError) return inUse(layout, "by another process", error);
  if (!(error instanceof LevelDamagedError)) {
    return new DepositoError("storage-failed", `cannot lock ${layout.root}: ${String(error)}`, { cause: error });
  }
  return new DepositoError(
    "data-directory-foreign",
    `${layout.lock} is damaged; it holds nothing but the lock. Make sure that no node runs on ${layout.root}, ` +
      "remove that folder, and start again.",
    { cause: error },
  );
}

function inUse(layout: Layout, by: string, cause: unknown): DepositoError {
  return new DepositoError("data-directory-in-use", `the data directory ${layout.root} is in use ${by}`, { cause });
}
