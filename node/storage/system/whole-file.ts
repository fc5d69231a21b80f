/**
 * Files that operators keep, outside any data directory: there whole, or not at all.
 *
 *   bytes ──► FILE.partial, synced ──► checked by whoever wants the file ──► renamed to FILE, the folder synced
 */
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { DepositoError } from "../../base/errors.ts";

/** The bytes of a file. @throws {DepositoError} `config-invalid` when it cannot be read. */
export async function* fileBytes(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>;
  } catch (error) {
    throw new DepositoError("config-invalid", `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Puts a file in the place of whatever bears its name, for nobody else to read. `write` gets who takes the bytes, and `check`
 * who reads them back from disk; where one of them fails, nothing has changed. The size of the file.
 */
export async function replaceFile<T>(
  path: string,
  write: (take: (bytes: AsyncIterable<Uint8Array>) => Promise<void>) => Promise<void>,
  check: (bytes: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<{ readonly checked: T; readonly sizeBytes: number }> {
  const partial = `${path}.partial`;
  try {
    let sizeBytes = 0;
    await write(async (bytes) => {
      sizeBytes += await writeDurably(partial, bytes);
    });
    const checked = await check(fileBytes(partial));
    await rename(partial, path);
    await syncFolder(dirname(resolve(path)));
    return { checked, sizeBytes };
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function writeDurably(path: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
  const file = await open(path, "w", 0o600);
  try {
    let sizeBytes = 0;
    for await (const piece of bytes) {
      await file.writeFile(piece);
      sizeBytes += piece.byteLength;
    }
    await file.sync();
    return sizeBytes;
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
