import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ByteReader } from "./byte-reader.ts";
import { maskedCrc32c } from "./crc32c.ts";
import { liveFiles } from "./level-manifest.ts";

/**
 * Checks every block of every table of a LevelDB against its checksum; what is wrong, or undefined when nothing is.
 * LevelDB has the checksums but does not compare them when it reads: it takes a damaged block for data, and some damage
 * it meets with an `assert` that ends the process, again after each restart. So this runs before it is opened. What
 * LevelDB notices without harm, such as a table that is gone, is left to it.
 *
 * A table (`doc/table_format.md`):
 *
 *   block*  ·  meta index block  ·  index block  ·  footer of 48 bytes: handles of the two, magic
 *   each block:  content · kind 1 (0: not compressed, the only one we write) · crc32c over both 4
 *   index block: (shared · unshared · length · key rest · handle of a block)* · restarts · their count 4
 */
export async function damageInTables(folder: string): Promise<string | undefined> {
  const live = await liveFiles(folder);
  if (live === undefined) return `${folder}: CURRENT or the manifest is gone or damaged`;
  for (const number of live.tables) {
    const path = join(folder, `${String(number).padStart(6, "0")}.ldb`);
    const table = await readFile(path).catch((error: NodeJS.ErrnoException) => error);
    if (table instanceof Error) {
      if (table.code === "ENOENT") continue;
      return `${path}: ${table.message}`;
    }
    const damage = damageInTable(table);
    if (damage !== undefined) return `${path}: ${damage}`;
  }
  return undefined;
}

const footerBytes = 48;
const trailerBytes = 5;
const magic = Buffer.from("57fb808b247547db", "hex");

function damageInTable(table: Buffer): string | undefined {
  const footer = table.subarray(Math.max(0, table.byteLength - footerBytes));
  if (!footer.subarray(-magic.byteLength).equals(magic)) return "it has no footer";
  const handles = new ByteReader(footer);
  for (const name of ["meta index", "index"]) {
    const index = blockAt(table, handles);
    const inner = index === undefined ? undefined : handlesIn(index);
    if (inner === undefined) return `its ${name} block is damaged`;
    for (const handle of inner) {
      if (blockAt(table, new ByteReader(handle)) === undefined) return `a block of its ${name} is damaged`;
    }
  }
  return undefined;
}

/** The content of the block that the next handle points to; undefined when it is damaged. */
function blockAt(table: Buffer, handles: ByteReader): Buffer | undefined {
  const offset = handles.varint();
  const size = handles.varint();
  if (offset === undefined || size === undefined) return undefined;
  const end = offset + size;
  if (end + trailerBytes > table.byteLength || table.readUInt8(end) !== 0) return undefined;
  if (table.readUInt32LE(end + 1) !== maskedCrc32c(table.subarray(offset, end + 1))) return undefined;
  return table.subarray(offset, end);
}

/** The values of an index block, each a handle; undefined when it makes no sense. */
function handlesIn(block: Buffer): Buffer[] | undefined {
  if (block.byteLength < 4) return undefined;
  const restartsBytes = (block.readUInt32LE(block.byteLength - 4) + 1) * 4;
  if (restartsBytes > block.byteLength) return undefined;
  const reader = new ByteReader(block.subarray(0, block.byteLength - restartsBytes));
  const handles: Buffer[] = [];
  while (!reader.atEnd) {
    reader.varint();
    const unshared = reader.varint();
    const length = reader.varint();
    reader.take(unshared);
    const handle = reader.take(length);
    if (handle === undefined) return undefined;
    handles.push(handle);
  }
  return handles;
}
