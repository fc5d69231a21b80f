import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** The files of one kind in a LevelDB folder, by a part of their names, with their sizes. */
export async function filesOf(folder: string, part: string): Promise<{ path: string; sizeBytes: number }[]> {
  const names = (await readdir(folder)).filter((name) => name.includes(part)).sort();
  return Promise.all(
    names.map(async (name) => ({ path: join(folder, name), sizeBytes: (await stat(join(folder, name))).size })),
  );
}

/** Flips one bit. */
export async function flipBit(path: string, offset: number, bit: number): Promise<void> {
  const handle = await open(path, "r+");
  try {
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, offset);
    buffer.writeUInt8(buffer.readUInt8(0) ^ (1 << bit), 0);
    await handle.write(buffer, 0, 1, offset);
  } finally {
    await handle.close();
  }
}

/** Cuts a file. */
export async function cut(path: string, sizeBytes: number): Promise<void> {
  const handle = await open(path, "r+");
  try {
    await handle.truncate(sizeBytes);
  } finally {
    await handle.close();
  }
}
