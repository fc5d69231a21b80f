import { crc32 } from "node:zlib";
import { DepositoError, hasCode } from "../../base/errors.ts";
import type { BlobId } from "../../base/ids.ts";
import { invariant } from "../../base/invariant.ts";
import { type StorageDisk, systemCode } from "../disk.ts";
import type { BlobReader, StoredBlob } from "../types.ts";
import {
  BlockChecksums,
  blockBytes,
  blockCount,
  crcBytes,
  crcOffset,
  decodeHeader,
  fileBytes,
  headerBytes,
} from "./format.ts";

/** The file of one blob. */
export interface BlobFile {
  readonly blobId: BlobId;
  readonly path: string;
  readonly disk: StorageDisk;
  /** Told once of each damage met. */
  readonly onDamage: (error: DepositoError) => void;
}

export interface BlobReaderOptions extends BlobFile {
  /** Called once, when the file is closed. */
  readonly onClose: (reader: FileBlobReader) => void;
}

const blocksPerChunk = 8;
/** CRCs read at once: those of 64 MiB. */
const crcsPerRead = 1024;

/** Reads one visible blob; every block is compared with its CRC before any byte of it leaves. */
export class FileBlobReader implements BlobReader {
  readonly blob: StoredBlob;
  readonly #options: BlobReaderOptions;
  readonly #fd: number;
  /** The whole file, when it has one block at most. */
  readonly #whole: Buffer | undefined;
  readonly #checksums: BlockChecksums;
  /** The part of the CRC table at hand: from block `#crcsFrom` on. */
  #crcs: Buffer = Buffer.alloc(0);
  #crcsFrom = 0;
  #reading: Promise<unknown> = Promise.resolve();
  #begun = false;
  #closed = false;

  private constructor(options: BlobReaderOptions, fd: number, blob: StoredBlob, whole: Buffer | undefined) {
    this.blob = blob;
    this.#options = options;
    this.#fd = fd;
    this.#whole = whole;
    this.#checksums = new BlockChecksums(options.blobId);
  }

  /** @throws {DepositoError} `blob-not-found`, `blob-damaged` (header, length, or table of a small blob) */
  static open(options: BlobReaderOptions): Promise<FileBlobReader> {
    return withFile(options, async (fd, length) => {
      const small = length <= fileBytes(blockBytes);
      const head = await readExactly(options, fd, 0, small ? length : headerBytes);
      const { blob, tableCrc } = decodeHeader(head, options.blobId, length);
      const reader = new FileBlobReader(options, fd, blob, small ? head : undefined);
      if (small && reader.#checksums.table(head.subarray(crcOffset(blob.sizeBytes, 0))) !== tableCrc)
        throw damaged(options.blobId, "the checksum of its checksums is wrong");
      return reader;
    });
  }

  /** @throws {DepositoError} `range-not-satisfiable` */
  read(range: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array> {
    const { start, end } = range;
    if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end))
      throw new DepositoError("range-not-satisfiable", `no such range: [${start}, ${end})`);
    if (end > this.blob.sizeBytes)
      throw new DepositoError("range-not-satisfiable", `[${start}, ${end}) of ${this.blob.sizeBytes} bytes`);
    invariant(!this.#begun, () => `blob ${this.blob.blobId}: one reader reads one range`);
    this.#begun = true;
    const chunks = this.#chunks(start, end);
    // A generator that was never started skips its `finally` when it is returned or thrown into.
    const thenClose = async <Result>(result: Promise<Result>): Promise<Result> => {
      try {
        return await result;
      } finally {
        await this.close();
      }
    };
    const iterator: AsyncIterator<Uint8Array, void, void> = {
      next: () => chunks.next(),
      return: () => thenClose(chunks.return()),
      throw: (error) => thenClose(chunks.throw(error)),
    };
    return { [Symbol.asyncIterator]: () => iterator };
  }

  async close(): Promise<void> {
    if (this.#closed) return await this.#reading.then(() => undefined);
    this.#closed = true;
    await this.#reading; // the descriptor is in use, and its number could name another file a moment later
    this.#options.disk.close(this.#fd);
    this.#options.onClose(this);
  }

  async *#chunks(start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (let at = start; at < end; ) {
        const firstBlock = Math.floor(at / blockBytes);
        const blocks = Math.min(blocksPerChunk, blockCount(end) - firstBlock);
        const chunkStart = firstBlock * blockBytes;
        const chunkEnd = Math.min(chunkStart + blocks * blockBytes, this.blob.sizeBytes);
        const chunk = await this.#bytes(headerBytes + chunkStart, chunkEnd - chunkStart);
        await this.#verify(firstBlock, chunk);
        const until = Math.min(end, chunkEnd);
        yield chunk.subarray(at - chunkStart, until - chunkStart);
        at = until;
      }
    } catch (error) {
      if (hasCode(error, "blob-damaged")) this.#options.onDamage(error);
      throw error;
    } finally {
      await this.close();
    }
  }

  async #verify(firstBlock: number, chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; at += blockBytes) {
      const block = firstBlock + at / blockBytes;
      const expected = await this.#crcOf(block);
      const actual = crc32(chunk.subarray(at, at + blockBytes), this.#checksums.seed(block));
      if (actual !== expected) throw damaged(this.blob.blobId, `block ${block} does not match its checksum`);
    }
  }

  async #crcOf(block: number): Promise<number> {
    const { sizeBytes } = this.blob;
    if (block < this.#crcsFrom || block >= this.#crcsFrom + this.#crcs.length / crcBytes) {
      const count = Math.min(crcsPerRead, blockCount(sizeBytes) - block);
      this.#crcs = await this.#bytes(crcOffset(sizeBytes, block), count * crcBytes);
      this.#crcsFrom = block;
    }
    return this.#crcs.readUInt32BE((block - this.#crcsFrom) * crcBytes);
  }

  async #bytes(position: number, length: number): Promise<Buffer> {
    if (this.#closed)
      throw new DepositoError("internal-error", `blob ${this.blob.blobId} was closed while it was read`);
    if (this.#whole !== undefined) return this.#whole.subarray(position, position + length);
    const reading = readExactly(this.#options, this.#fd, position, length);
    this.#reading = reading.catch(() => undefined);
    return await reading;
  }
}

/** Reads the header alone. @throws {DepositoError} `blob-not-found`, `blob-damaged` */
export function readHeader(options: BlobFile): Promise<StoredBlob> {
  return withFile(options, async (fd, length) => {
    const head = await readExactly(options, fd, 0, Math.min(length, headerBytes));
    const { blob } = decodeHeader(head, options.blobId, length);
    options.disk.close(fd);
    return blob;
  });
}

/** Opens the file for `use`, which keeps the descriptor if it succeeds. */
async function withFile<Result>(
  options: BlobFile,
  use: (fd: number, length: number) => Promise<Result>,
): Promise<Result> {
  const { disk, onDamage } = options;
  let fd: number | undefined;
  try {
    fd = await openFile(options);
    return await use(fd, disk.sizeOf(fd));
  } catch (error) {
    if (fd !== undefined) disk.close(fd);
    if (hasCode(error, "blob-damaged")) onDamage(error);
    throw error;
  }
}

async function openFile({ blobId, path, disk }: BlobFile): Promise<number> {
  try {
    return await disk.open(path, "read");
  } catch (error) {
    switch (systemCode(error)) {
      case "ENOENT":
        throw new DepositoError("blob-not-found", `no blob ${blobId} here`);
      case "EMFILE":
      case "ENFILE":
        // The blob may be whole: it must not be given up for a want of this process.
        throw new DepositoError("internal-error", "too many open files", { cause: error });
      default:
        throw damaged(blobId, "its file cannot be opened", error);
    }
  }
}

async function readExactly({ blobId, disk }: BlobFile, fd: number, position: number, length: number): Promise<Buffer> {
  const into = Buffer.allocUnsafeSlow(length);
  let got: number;
  try {
    got = await disk.read(fd, into, position);
  } catch (error) {
    throw damaged(blobId, "its file cannot be read", error);
  }
  if (got < length) throw damaged(blobId, `its file ended ${length - got} bytes early`);
  return into;
}

function damaged(blobId: BlobId, why: string, cause?: unknown): DepositoError {
  return new DepositoError("blob-damaged", `blob ${blobId}: ${why}`, { cause });
}
