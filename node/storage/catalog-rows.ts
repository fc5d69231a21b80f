import { crc32 } from "node:zlib";
import { DepositoError } from "../base/errors.ts";

/**
 * A catalog value on disk: 4 bytes CRC32 over key and value, then the value. With the key in it, a value that LevelDB
 * hands out for another key is noticed too.
 */
const checksumBytes = 4;

/** The value as it is stored under `key`. */
export function sealValue(key: Uint8Array, value: Uint8Array): Uint8Array {
  const sealed = Buffer.allocUnsafe(checksumBytes + value.byteLength);
  sealed.writeUInt32BE(crc32(value, crc32(key)), 0);
  sealed.set(value, checksumBytes);
  return sealed;
}

/** The value that was sealed under `key`. @throws {DepositoError} `catalog-damaged` */
export function unsealValue(key: Uint8Array, sealed: Uint8Array): Uint8Array {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  const value = bytes.subarray(checksumBytes);
  if (bytes.byteLength < checksumBytes || bytes.readUInt32BE(0) !== crc32(value, crc32(key))) {
    throw new DepositoError("catalog-damaged", `the value of ${Buffer.from(key).toString("hex")} has a wrong checksum`);
  }
  return value;
}
