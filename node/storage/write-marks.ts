import { crc32 } from "node:zlib";
import { DepositoError } from "../base/errors.ts";
import type { Write } from "../catalog/types.ts";
import { LevelClosedError } from "./disk.ts";
import type { LevelStore } from "./level.ts";

/**
 * Numbered marks, one in each batch, so that a batch which is lost while later ones are there is missed. `system/level-wal.ts`
 * leaves LevelDB no hole to skip in its write-ahead log; this proves it of what LevelDB then holds, and of its tables.
 *
 *   0xff <number, 8 bytes>  →  CRC32 of the key
 *
 * The last `marksKept` stay. A batch that is still in the write-ahead log is among them, because a write buffer holds
 * fewer batches than that; an older one lies in a synced table.
 */
const marksKept = 65_536;
const prefix = 0xff;

/** Behind all keys that a catalog may use; marks start here. */
export const marksStart: Uint8Array = Buffer.of(prefix);
const marksEnd: Uint8Array = Buffer.of(prefix, 0xff);

/** What a batch with this number carries besides its writes. */
export function markWrites(number: number): Write[] {
  const key = keyOf(number);
  const mark = { key, value: valueOf(key) };
  return number > marksKept ? [mark, { key: keyOf(number - marksKept), value: undefined }] : [mark];
}

/**
 * The number of the last batch, 0 when there was none.
 * @throws {DepositoError} `catalog-damaged` when one before it is missing.
 */
export async function lastMark(level: LevelStore): Promise<number> {
  let first: number | undefined;
  let last = 0;
  try {
    for await (const rows of level.rows({ from: marksStart, before: marksEnd }, 1 << 20)) {
      for (const { key, value } of rows) {
        const number = numberOf(key, value);
        first ??= number;
        if (number === undefined || (last !== 0 && number !== last + 1)) throw missing(`after mark ${last}`);
        last = number;
      }
    }
  } catch (error) {
    if (error instanceof DepositoError || error instanceof LevelClosedError) throw error;
    throw new DepositoError("catalog-damaged", `${level.path}: ${String(error)}`, { cause: error });
  }
  if (first !== undefined && first !== Math.max(1, last - marksKept + 1)) throw missing(`before mark ${first}`);
  return last;
}

function missing(where: string): DepositoError {
  return new DepositoError("catalog-damaged", `writes ${where} are missing`);
}

function keyOf(number: number): Uint8Array {
  const key = Buffer.allocUnsafe(9);
  key.writeUInt8(prefix, 0);
  key.writeBigUInt64BE(BigInt(number), 1);
  return key;
}

function valueOf(key: Uint8Array): Uint8Array {
  const value = Buffer.allocUnsafe(4);
  value.writeUInt32BE(crc32(key), 0);
  return value;
}

function numberOf(key: Uint8Array, value: Uint8Array): number | undefined {
  if (key.byteLength !== 9 || Buffer.compare(value, valueOf(key)) !== 0) return undefined;
  return Number(Buffer.from(key.buffer, key.byteOffset, key.byteLength).readBigUInt64BE(1));
}
