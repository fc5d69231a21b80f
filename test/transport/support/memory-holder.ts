import { createHash } from "node:crypto";
import { DepositoError } from "../../../node/base/errors.ts";
import { type BlobId, type NodeId, type Staged, staged } from "../../../node/base/ids.ts";
import type { BlobFacts } from "../../../node/catalog/types.ts";
import type { LocalHolder } from "../../../node/depot/types.ts";
import type { StoredBlob } from "../../../node/storage/types.ts";
import type { BlobSink } from "../../../node/transport/types.ts";

/** A node's disk in memory: keeps what it is given, checks every digest, and can be told to misbehave as disks do. */
export class MemoryHolder implements LocalHolder {
  readonly blobs = new Map<BlobId, { readonly facts: BlobFacts; readonly bytes: Buffer; readonly staged: Staged }>();
  /** How many blobs each call of `storeSmall` brought. */
  readonly batches: number[] = [];
  readonly pulls: { readonly from: NodeId; readonly facts: BlobFacts }[] = [];
  aborted = 0;
  /** Thrown by everything that would store. */
  refuseWith: Error | undefined;
  /** Awaited before each chunk is written. */
  beforeWrite: () => Promise<void> = async () => {};
  beforeCommit: () => Promise<void> = async () => {};
  beforePull: () => Promise<void> = async () => {};
  /** Reads of more bytes than this end with `blob-damaged` after them. */
  damagedAfterBytes = Number.POSITIVE_INFINITY;
  /** Bytes of streamed blobs are counted and hashed, but not kept. */
  discardBytes = false;
  receivedBytes = 0;
  readonly #node: NodeId;
  #last = 0;

  constructor(node: NodeId) {
    this.#node = node;
  }

  async openSink(blobId: BlobId): Promise<BlobSink> {
    if (this.refuseWith !== undefined) throw this.refuseWith;
    const chunks: Uint8Array[] = [];
    const hash = createHash("sha256");
    let sizeBytes = 0;
    let open = true;
    return {
      node: this.#node,
      write: async (chunk) => {
        await this.beforeWrite();
        if (this.refuseWith !== undefined) throw this.refuseWith;
        hash.update(chunk);
        sizeBytes += chunk.length;
        this.receivedBytes += chunk.length;
        if (!this.discardBytes) chunks.push(Buffer.from(chunk));
      },
      commit: async (facts) => {
        await this.beforeCommit();
        if (sizeBytes !== facts.sizeBytes || hash.digest("hex") !== facts.sha256) throw mismatch(blobId);
        open = false;
        return this.keep(facts, Buffer.concat(chunks));
      },
      abort: async () => {
        if (open) this.aborted += 1;
        open = false;
      },
    };
  }

  async storeSmall(
    blobs: readonly { readonly facts: BlobFacts; readonly bytes: Uint8Array }[],
  ): Promise<readonly (StoredBlob | { readonly failed: "digest-mismatch" })[]> {
    this.batches.push(blobs.length);
    await this.beforeWrite();
    if (this.refuseWith !== undefined) throw this.refuseWith;
    return blobs.map(({ facts, bytes }) => {
      if (createHash("sha256").update(bytes).digest("hex") !== facts.sha256) return { failed: "digest-mismatch" };
      return { ...facts, staged: this.keep(facts, Buffer.from(bytes)) };
    });
  }

  async read(
    blobId: BlobId,
    range: { readonly start: number; readonly end: number },
  ): Promise<AsyncIterable<Uint8Array>> {
    const blob = this.blobs.get(blobId);
    if (blob === undefined) throw new DepositoError("blob-not-found", `no blob ${blobId}`);
    if (this.damagedAfterBytes === 0) throw new DepositoError("blob-damaged", `blob ${blobId} is damaged`);
    return this.#chunks(blob.bytes.subarray(range.start, range.end));
  }

  async pull(from: NodeId, facts: BlobFacts): Promise<Staged> {
    this.pulls.push({ from, facts });
    await this.beforePull();
    if (this.refuseWith !== undefined) throw this.refuseWith;
    return staged(77);
  }

  async discard(blobIds: readonly BlobId[]): Promise<void> {
    for (const blobId of blobIds) this.blobs.delete(blobId);
  }

  keep(facts: BlobFacts, bytes: Buffer): Staged {
    this.#last += 1;
    this.blobs.set(facts.blobId, { facts, bytes, staged: staged(this.#last) });
    return staged(this.#last);
  }

  async *#chunks(bytes: Buffer): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      if (at >= this.damagedAfterBytes) throw new DepositoError("blob-damaged", "damaged in the middle");
      yield bytes.subarray(at, at + chunkBytes);
    }
  }
}

function mismatch(blobId: BlobId): DepositoError {
  return new DepositoError("digest-mismatch", `blob ${blobId} has another digest`);
}

const chunkBytes = 64 * 1024;
