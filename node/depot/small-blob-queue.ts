import { DepositoError } from "../base/errors.ts";
import type { BlobFacts } from "../catalog/types.ts";
import type { BlobStore, StoredBlob } from "../storage/types.ts";

/** A small blob with its bytes in memory. */
export interface SmallBlob {
  readonly facts: BlobFacts;
  readonly bytes: Uint8Array;
}
/** What became of one. */
export type SmallBlobResult = StoredBlob | { readonly failed: "digest-mismatch" };

interface Waiting {
  readonly blobs: readonly SmallBlob[];
  readonly resolve: (results: readonly SmallBlobResult[]) => void;
  readonly reject: (error: unknown) => void;
}

const maxWaitingBytes = 64 * 1024 * 1024;
const maxGroupBlobs = 256;
const maxGroupBytes = 8 * 1024 * 1024;

/**
 * Group commit for small blobs: while one group is being synced the next gathers, so the groups are as large as the disk
 * is slow, and nobody waits for a timer.
 *
 *   store ─┐
 *   store ─┼─► waiting ──► one `BlobStore.store` at a time ──► each caller its own results
 *   store ─┘
 */
export class SmallBlobQueue {
  readonly #blobs: BlobStore;
  /** False: each call is stored by itself, in order. */
  readonly #batching: boolean;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #draining: Promise<void> | undefined;

  constructor(blobs: BlobStore, batching: boolean) {
    this.#blobs = blobs;
    this.#batching = batching;
  }

  /** @throws {DepositoError} `too-many-requests` when the queue is full; what `BlobStore.store` throws. */
  async store(blobs: readonly SmallBlob[]): Promise<readonly SmallBlobResult[]> {
    const bytes = totalBytes(blobs);
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > maxWaitingBytes)
      throw new DepositoError("too-many-requests", `${this.#waitingBytes} bytes wait for this node's disk already`);
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ blobs, resolve, reject });
      this.#waitingBytes += bytes;
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    await Promise.resolve(); // calls of the same moment join the first group
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup();
      const blobs = group.flatMap((waiting) => waiting.blobs);
      try {
        const results = await this.#blobs.store(blobs);
        let from = 0;
        for (const waiting of group) {
          waiting.resolve(results.slice(from, from + waiting.blobs.length));
          from += waiting.blobs.length;
        }
      } catch (error) {
        for (const waiting of group) waiting.reject(error);
      }
      this.#waitingBytes -= totalBytes(blobs);
    }
    this.#draining = undefined;
  }

  #nextGroup(): Waiting[] {
    const group: Waiting[] = [];
    let count = 0;
    let bytes = 0;
    do {
      const next = this.#waiting.shift() as Waiting;
      group.push(next);
      count += next.blobs.length;
      bytes += totalBytes(next.blobs);
    } while (this.#batching && this.#waiting.length > 0 && count < maxGroupBlobs && bytes < maxGroupBytes);
    return group;
  }
}

function totalBytes(blobs: readonly SmallBlob[]): number {
  return blobs.reduce((sum, blob) => sum + blob.bytes.length, 0);
}
