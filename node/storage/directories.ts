import { type StorageDisk, systemCode } from "./disk.ts";

/** Makes the names in the directory durable: files created, renamed or removed in it stay so after a power cut. */
export async function syncDirectory(
  disk: Pick<StorageDisk, "open" | "syncDirectory" | "close">,
  path: string,
): Promise<void> {
  const fd = await disk.open(path, "read");
  try {
    await disk.syncDirectory(fd);
  } finally {
    disk.close(fd);
  }
}

/** The names directly in the directory; none when there is no such directory. */
export async function namesIn(disk: Pick<StorageDisk, "names">, path: string): Promise<readonly string[]> {
  try {
    return await disk.names(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}
