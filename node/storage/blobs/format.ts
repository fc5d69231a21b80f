import { crc32 } from "node:zlib";
import { DepositoError } from "../../base/errors.ts";
import { type BlobId, parseSha256, staged } from "../../base/ids.ts";
import { invariant } from "../../base/invariant.ts";
import type { StoredBlob } from "../types.ts";

/**
 * One blob, one file. Numbers are big-endian.
 *
 *   0        128                         128 + size            128 + size + 4 × blocks
 *   ├ header ─┼ the plain bytes, contiguous ─┼ CRC-32 per block ─┤
 *
 *   header:  0  magic "deposito"           32  sha256 of the plain bytes, 32 bytes
 *            8  format version, u32        64  size of the plain bytes, u64
 *           12  block size (65,536), u32   72  staged, u64
 *           16  blob id, 16 bytes          80  CRC-32 of the CRC table, u32
 *                                          84  zeros
 *                                         124  CRC-32 of the 124 bytes before, u32
 *
 * The CRC of block i starts from the CRC of (blob id, i): right bytes in the wrong place, of this blob or another, do not
 * match. The header stands first so that a small blob is one read, and is written last, when size and digest are known.
 */
export const headerBytes = 128;
/** What one CRC covers; the last block of a blob may be shorter. */
export const blockBytes = 65_536;

const magic = Buffer.from("deposito", "latin1");
const formatVersion = 1;
/** What one entry of the CRC table takes. */
export const crcBytes = 4;

/** How many CRCs a blob of `sizeBytes` has. */
export function blockCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockBytes);
}

/** Where the CRC of `block` stands in the file of a blob of `sizeBytes`. */
export function crcOffset(sizeBytes: number, block: number): number {
  return headerBytes + sizeBytes + crcBytes * block;
}

/** How long the file of a blob of `sizeBytes` is. */
export function fileBytes(sizeBytes: number): number {
  return crcOffset(sizeBytes, blockCount(sizeBytes));
}

/** The inverse of `fileBytes`; 0 for a length no blob has. */
export function plainBytes(fileLength: number): number {
  const afterHeader = fileLength - headerBytes;
  return Math.max(0, afterHeader - crcBytes * Math.ceil(afterHeader / (blockBytes + crcBytes)));
}

/** What a header says. */
export interface Header {
  readonly blob: StoredBlob;
  readonly tableCrc: number;
}

export function encodeHeader({ blob, tableCrc }: Header): Buffer {
  invariant(Number.isSafeInteger(blob.sizeBytes) && blob.sizeBytes >= 0, () => `blob size ${blob.sizeBytes}`);
  const header = Buffer.alloc(headerBytes);
  magic.copy(header, 0);
  header.writeUInt32BE(formatVersion, 8);
  header.writeUInt32BE(blockBytes, 12);
  idBytes(blob.blobId).copy(header, 16);
  header.write(blob.sha256, 32, "hex");
  header.writeBigUInt64BE(BigInt(blob.sizeBytes), 64);
  header.writeBigUInt64BE(BigInt(blob.staged), 72);
  header.writeUInt32BE(tableCrc, 80);
  header.writeUInt32BE(crc32(header.subarray(0, 124)), 124);
  return header;
}

/**
 * Reads the header of `blobId` out of a file of `fileLength` bytes.
 * @throws {DepositoError} `blob-damaged`
 */
export function decodeHeader(header: Buffer, blobId: BlobId, fileLength: number): Header {
  const damaged = (why: string) => new DepositoError("blob-damaged", `blob ${blobId}: ${why}`);
  if (header.length < headerBytes) throw damaged(`its file has only ${fileLength} bytes`);
  if (header.readUInt32BE(124) !== crc32(header.subarray(0, 124))) throw damaged("the header's checksum is wrong");
  if (!header.subarray(0, 8).equals(magic)) throw damaged("its file is not a blob");
  if (header.readUInt32BE(8) !== formatVersion || header.readUInt32BE(12) !== blockBytes)
    throw damaged(`unknown format version ${header.readUInt32BE(8)}, blocks of ${header.readUInt32BE(12)}`);
  if (!header.subarray(16, 32).equals(idBytes(blobId))) throw damaged("its file holds another blob");
  const sizeBytes = Number(header.readBigUInt64BE(64));
  if (fileLength !== fileBytes(sizeBytes))
    throw damaged(`its file has ${fileLength} bytes instead of ${fileBytes(sizeBytes)}`);
  const sha256 = parseSha256(header.toString("hex", 32, 64));
  invariant(sha256 !== undefined, () => "32 bytes are always 64 hexadecimal digits");
  return {
    blob: { blobId, sizeBytes, sha256, staged: staged(Number(header.readBigUInt64BE(72))) },
    tableCrc: header.readUInt32BE(80),
  };
}

/** Computes what each block's CRC must be. */
export class BlockChecksums {
  readonly #idCrc: number;
  readonly #indexBytes = Buffer.alloc(4);

  constructor(blobId: BlobId) {
    this.#idCrc = crc32(idBytes(blobId));
  }

  /** The CRC that `block` starts from. */
  seed(block: number): number {
    this.#indexBytes.writeUInt32BE(block);
    return crc32(this.#indexBytes, this.#idCrc);
  }

  /** The CRC of a whole table. */
  table(table: Uint8Array): number {
    return crc32(table, this.#idCrc);
  }
}

/** The CRC table of a blob that is being written: 4 bytes for each 64 KiB, so 640 KiB for a blob of 10 GiB. */
export class BlockTable {
  readonly #checksums: BlockChecksums;
  readonly #pages: Buffer[] = [];
  /** CRCs that fill no page yet. */
  #crcs: number[] = [];
  #block = 0;
  #crc: number;
  /** Bytes of the block being filled. */
  #filled = 0;

  constructor(blobId: BlobId) {
    this.#checksums = new BlockChecksums(blobId);
    this.#crc = this.#checksums.seed(0);
  }

  /** Takes the next plain bytes. */
  add(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const part = bytes.subarray(from, from + blockBytes - this.#filled);
      this.#crc = crc32(part, this.#crc);
      this.#filled += part.length;
      from += part.length;
      if (this.#filled === blockBytes) this.#endBlock();
    }
  }

  /** The table and its CRC; nothing may be added afterwards. */
  finish(): { readonly table: Buffer; readonly tableCrc: number } {
    if (this.#filled > 0) this.#endBlock();
    this.#endPage();
    const table = Buffer.concat(this.#pages);
    return { table, tableCrc: this.#checksums.table(table) };
  }

  #endBlock(): void {
    this.#crcs.push(this.#crc);
    if (this.#crcs.length === crcsPerPage) this.#endPage();
    this.#block += 1;
    this.#filled = 0;
    this.#crc = this.#checksums.seed(this.#block);
  }

  #endPage(): void {
    const page = Buffer.allocUnsafe(this.#crcs.length * crcBytes);
    for (const [at, crc] of this.#crcs.entries()) page.writeUInt32BE(crc, at * crcBytes);
    this.#pages.push(page);
    this.#crcs = [];
  }
}

const crcsPerPage = 4096;

function idBytes(blobId: BlobId): Buffer {
  return Buffer.from(blobId.replaceAll("-", ""), "hex");
}
