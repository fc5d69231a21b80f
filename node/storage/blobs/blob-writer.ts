import { createHash } from "node:crypto";
import { DepositoError } from "../../base/errors.ts";
import { type BlobId, parseSha256, type Sha256, type Staged } from "../../base/ids.ts";
import { invariant } from "../../base/invariant.ts";
import type { StorageDisk } from "../disk.ts";
import type { FailStop } from "../fail-stop.ts";
import type { BlobWriter, StoredBlob } from "../types.ts";
import type { BlobMetrics } from "./blob-metrics.ts";
import { BlockTable, encodeHeader, headerBytes } from "./format.ts";
import type { Shelf } from "./shelf.ts";
import { guardUnpromised } from "./unpromised.ts";

export interface BlobWriterOptions {
  readonly blobId: BlobId;
  readonly expectedBytes: number | undefined;
  readonly stagePath: string;
  readonly shelf: Shelf;
  readonly disk: StorageDisk;
  readonly failStop: FailStop;
  readonly metrics: BlobMetrics;
  readonly nextStaged: () => Staged;
  /** Runs the syncs of one blob: at once, or, without batching, after those of every blob before. */
  readonly inTurn: <Result>(syncs: () => Promise<Result>) => Promise<Result>;
  /** Called once, when the stage is gone: committed or removed. */
  readonly onEnd: (writer: FileBlobWriter) => void;
}

const smallestBufferBytes = 4096;
const bufferBytes = 65_536;
/** A sync is begun behind every so many bytes, so that the one at the end, and the log's beside it, need not wait long. */
const syncEveryBytes = 16 * 1024 * 1024;

/**
 * Streams one blob into its stage.
 *
 *   writing ──commit()──► committing ──► committed
 *      └──cancel(), or a failure──► removed
 *
 * Holds at most 64 KiB of bytes: smaller chunks are gathered, larger ones are written as they are.
 */
export class FileBlobWriter implements BlobWriter {
  readonly blobId: BlobId;
  readonly #options: BlobWriterOptions;
  readonly #fd: number;
  readonly #sha256 = createHash("sha256");
  readonly #table: BlockTable;
  readonly #buffer: Buffer;
  #buffered = 0;
  /** Where the next bytes go in the file. */
  #position = headerBytes;
  #sizeBytes = 0;
  #syncBegunAt = 0;
  #syncUnderWay: Promise<void> = Promise.resolve();
  #state: "writing" | "committing" | "committed" | "removed" = "writing";
  /** The call under way, never rejecting; removal and closing wait for it. */
  #underWay: Promise<unknown> = Promise.resolve();
  #busy = false;
  #removal: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  private constructor(options: BlobWriterOptions, fd: number) {
    this.blobId = options.blobId;
    this.#options = options;
    this.#fd = fd;
    this.#table = new BlockTable(options.blobId);
    const expected = options.expectedBytes ?? bufferBytes;
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(Math.max(expected, smallestBufferBytes), bufferBytes));
  }

  static async open(options: BlobWriterOptions): Promise<FileBlobWriter> {
    await options.shelf.prepare();
    const fd = await guardUnpromised(options.failStop, "making a stage", () => options.disk.create(options.stagePath));
    return new FileBlobWriter(options, fd);
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#checkWriting();
    await this.#exclusively(async () => {
      const written = this.#take(chunk);
      // The main thread hashes while a worker thread writes.
      this.#sha256.update(chunk);
      this.#table.add(chunk);
      this.#sizeBytes += chunk.length;
      await written;
    });
  }

  async commit(expected: { readonly sizeBytes: number; readonly sha256: Sha256 }): Promise<StoredBlob> {
    this.#checkWriting();
    this.#state = "committing";
    return await this.#exclusively(async () => {
      const { shelf, inTurn, nextStaged, metrics, failStop, disk, stagePath } = this.#options;
      const blob = { ...this.#verified(expected), staged: nextStaged() };
      await this.#writeRest(blob);
      return await inTurn(async () => {
        await this.#syncUnderWay;
        await failStop.guard("syncing a stage", () => disk.syncFile(this.#fd));
        metrics.fileSyncs.inc();
        await shelf.publish([{ blobId: this.blobId, stagePath, sizeBytes: blob.sizeBytes }]);
        this.#state = "committed";
        this.#close();
        return blob;
      });
    });
  }

  async cancel(): Promise<void> {
    await this.#underWay;
    if (this.#state !== "writing") return await this.#removal;
    this.#removal = this.#remove();
    await this.#removal;
  }

  /** Runs one call; when it fails, the stage is removed and every later call fails likewise. */
  async #exclusively<Result>(task: () => Promise<Result>): Promise<Result> {
    invariant(!this.#busy, () => `blob ${this.blobId}: a call began before the one before had ended`);
    this.#busy = true;
    const running = this.#removingOnFailure(task);
    this.#underWay = running.catch(() => undefined);
    return await running;
  }

  async #removingOnFailure<Result>(task: () => Promise<Result>): Promise<Result> {
    try {
      return await task();
    } catch (error) {
      this.#failure = { error };
      await this.#remove();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  #checkWriting(): void {
    this.#options.failStop.check();
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#state === "removed") throw new DepositoError("upload-aborted", `blob ${this.blobId} was given up`);
    invariant(this.#state === "writing", () => `blob ${this.blobId} is ${this.#state} already`);
  }

  async #take(chunk: Uint8Array): Promise<void> {
    let rest = chunk;
    if (this.#buffered > 0 || chunk.length < this.#buffer.length) {
      const gathered = rest.subarray(0, this.#buffer.length - this.#buffered);
      this.#buffer.set(gathered, this.#buffered);
      this.#buffered += gathered.length;
      rest = rest.subarray(gathered.length);
      if (this.#buffered < this.#buffer.length) return;
      this.#buffered = 0;
      await this.#append(this.#buffer);
    }
    if (rest.length >= this.#buffer.length) {
      await this.#append(rest);
    } else {
      this.#buffer.set(rest);
      this.#buffered = rest.length;
    }
  }

  async #append(bytes: Uint8Array): Promise<void> {
    const { failStop, disk } = this.#options;
    const at = this.#position;
    this.#position += bytes.length;
    await guardUnpromised(failStop, "writing a stage", () => disk.write(this.#fd, [bytes], at));
    if (this.#position - this.#syncBegunAt < syncEveryBytes) return;
    await this.#syncUnderWay; // bounds what is not yet on disk: two lots
    this.#syncBegunAt = this.#position;
    this.#syncUnderWay = failStop.guard("syncing a stage", () => disk.syncFile(this.#fd));
    this.#syncUnderWay.catch(() => undefined); // kept by `failStop`, and met again by the next await
  }

  #verified(expected: { readonly sizeBytes: number; readonly sha256: Sha256 }): Omit<StoredBlob, "staged"> {
    const sha256 = parseSha256(this.#sha256.digest("hex"));
    if (this.#sizeBytes !== expected.sizeBytes)
      throw new DepositoError("size-mismatch", `${this.#sizeBytes} bytes came instead of ${expected.sizeBytes}`);
    if (sha256 !== expected.sha256)
      throw new DepositoError("digest-mismatch", `the bytes have sha256 ${sha256} instead of ${expected.sha256}`);
    return { blobId: this.blobId, sizeBytes: this.#sizeBytes, sha256 };
  }

  async #writeRest(blob: StoredBlob): Promise<void> {
    const { failStop, disk } = this.#options;
    const { table, tableCrc } = this.#table.finish();
    const header = encodeHeader({ blob, tableCrc });
    const tail = this.#buffer.subarray(0, this.#buffered);
    const write = (parts: readonly Uint8Array[], at: number) =>
      guardUnpromised(failStop, "writing a stage", () => disk.write(this.#fd, parts, at));
    if (this.#position === headerBytes) {
      await write([header, tail, table], 0);
    } else {
      await write([tail, table], this.#position);
      await write([header], 0);
    }
  }

  async #remove(): Promise<void> {
    const { failStop, disk, stagePath } = this.#options;
    this.#state = "removed";
    await this.#syncUnderWay.catch(() => undefined); // the descriptor is still in use; its failure is kept by `failStop`
    this.#close();
    await failStop.guard("removing a stage", () => disk.unlink(stagePath));
  }

  #close(): void {
    this.#options.disk.close(this.#fd);
    this.#options.onEnd(this);
  }
}
