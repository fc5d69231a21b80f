import { DepositoError } from "../base/errors.ts";
import { type DiskLock, LevelDamagedError, LevelLockedError, type StorageDisk } from "./disk.ts";
import type { Layout } from "./layout.ts";

/**
 * Takes the lock of a data directory, or refuses at once.
 * @throws {DepositoError} `data-directory-in-use`; `data-directory-foreign` when the lock itself is damaged; `storage-failed`
 */
export async function lockDirectory(disk: StorageDisk, layout: Layout): Promise<DiskLock> {
  try {
    return await disk.lock(layout.lock);
  } catch (error) {
    throw refusal(layout, error);
  }
}

function refusal({ root, lock }: Layout, error: unknown): DepositoError {
  if (error instanceof LevelLockedError) {
    const what = `the data directory ${root} is in use by ${error.holder}`;
    return new DepositoError("data-directory-in-use", what, { cause: error });
  }
  if (!(error instanceof LevelDamagedError)) {
    return new DepositoError("storage-failed", `cannot lock ${root}: ${String(error)}`, { cause: error });
  }
  return new DepositoError(
    "data-directory-foreign",
    `${lock} is damaged; it holds nothing but the lock. Make sure that no node runs on ${root}, ` +
      "remove that folder, and start again.",
    { cause: error },
  );
}
