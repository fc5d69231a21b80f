import { DepositoError, hasCode } from "../base/errors.ts";
import type { BlobId, NodeId, Staged } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Logger } from "../base/logger.ts";
import type { BlobFacts } from "../catalog/types.ts";
import type { BlobReader, BlobStore, BlobWriter } from "../storage/types.ts";
import type { BlobSink, PeerClient } from "../transport/types.ts";
import { type SmallBlob, SmallBlobQueue, type SmallBlobResult } from "./small-blob-queue.ts";
import { type Reservation, SpaceBudget } from "./space-budget.ts";
import type { LocalHolder } from "./types.ts";

export interface BlobHolderOptions {
  readonly self: NodeId;
  readonly blobs: BlobStore;
  readonly peers: PeerClient;
  /** Free bytes of this node's disk, as last measured. */
  readonly freeBytes: () => number;
  readonly minFreeBytes: number;
  readonly logger: Logger;
  readonly batching: boolean;
  /** Called once, at the first failed write or sync: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** This node's disk behind the low-water mark: blobs in by stream, in groups or from a peer; verified bytes out. */
export class BlobHolder implements LocalHolder {
  readonly #options: BlobHolderOptions;
  readonly #budget: SpaceBudget;
  readonly #small: SmallBlobQueue;
  readonly #pulls = new Map<BlobId, Promise<Staged>>();
  readonly #closing = new AbortController();
  #fatal = false;

  constructor(options: BlobHolderOptions) {
    this.#options = options;
    this.#budget = new SpaceBudget(options);
    this.#small = new SmallBlobQueue(options.blobs, options.batching);
  }

  async openSink(blobId: BlobId, expectedBytes: number | undefined): Promise<BlobSink> {
    const reservation = this.#budget.reserve(expectedBytes);
    try {
      const writer = await this.#watched(this.#options.blobs.stage(blobId, expectedBytes));
      return this.#sink(writer, reservation);
    } catch (error) {
      reservation.release();
      throw error;
    }
  }

  async storeSmall(blobs: readonly SmallBlob[]): Promise<readonly SmallBlobResult[]> {
    const bytes = blobs.reduce((sum, blob) => sum + blob.bytes.length, 0);
    const reservation = this.#budget.reserve(bytes);
    try {
      reservation.take(bytes);
      return await this.#watched(this.#small.store(blobs));
    } finally {
      reservation.release();
    }
  }

  /** The result must be iterated or returned from: until then it may hold a file open. */
  async read(
    blobId: BlobId,
    range: { readonly start: number; readonly end: number },
  ): Promise<AsyncIterable<Uint8Array>> {
    const reader = await this.#watched(this.#options.blobs.open(blobId));
    try {
      return reader.read(range);
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  pull(from: NodeId, facts: BlobFacts): Promise<Staged> {
    const underWay = this.#pulls.get(facts.blobId);
    if (underWay !== undefined) return underWay;
    const pull = this.#pull(from, facts).finally(() => this.#pulls.delete(facts.blobId));
    this.#pulls.set(facts.blobId, pull);
    return pull;
  }

  discard(blobIds: readonly BlobId[]): Promise<void> {
    return this.#watched(this.#options.blobs.remove(blobIds));
  }

  /** Ends pulls, and waits for what is being stored. The blob store stays open. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#pulls.values());
    await this.#small.idle();
  }

  #sink(writer: BlobWriter, reservation: Reservation): BlobSink {
    return {
      node: this.#options.self,
      write: async (chunk) => {
        reservation.take(chunk.length);
        await this.#watched(writer.write(chunk));
      },
      commit: async (facts) => {
        invariant(facts.blobId === writer.blobId, () => `${facts.blobId} committed into the sink of ${writer.blobId}`);
        try {
          const { staged } = await this.#watched(writer.commit(facts));
          return staged;
        } finally {
          reservation.release();
        }
      },
      abort: async () => {
        reservation.release();
        await this.#watched(writer.cancel());
      },
    };
  }

  async #pull(from: NodeId, facts: BlobFacts): Promise<Staged> {
    const held = await this.#heldWhole(facts);
    if (held !== undefined) return held;
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#closing.signal]);
    const sink = await this.openSink(facts.blobId, facts.sizeBytes);
    try {
      const range = { start: 0, end: facts.sizeBytes };
      for await (const chunk of await this.#options.peers.readBlob(from, facts.blobId, range, signal))
        await sink.write(chunk);
      return await sink.commit(facts);
    } catch (error) {
      stop.abort();
      await sink.abort();
      throw error;
    }
  }

  /**
   * The staged number of the blob if every byte of it is here. Its bytes are read, not only its header: a pull is asked
   * for when a replica was found damaged, and the damaged one still stands in its place.
   */
  async #heldWhole(facts: BlobFacts): Promise<Staged | undefined> {
    let reader: BlobReader;
    try {
      reader = await this.#watched(this.#options.blobs.open(facts.blobId));
    } catch (error) {
      return this.#notHeld(facts, error);
    }
    const { sizeBytes, sha256, staged } = reader.blob;
    if (sizeBytes !== facts.sizeBytes || sha256 !== facts.sha256) {
      await reader.close();
      return undefined;
    }
    try {
      for await (const _ of reader.read({ start: 0, end: sizeBytes }))
        if (this.#closing.signal.aborted) throw new DepositoError("upload-aborted", "this node is closing");
      // Somebody else may be storing it right now: it can be read before it is durable.
      await this.#watched(this.#options.blobs.settled(facts.blobId));
      return staged;
    } catch (error) {
      return this.#notHeld(facts, error);
    }
  }

  #notHeld(facts: BlobFacts, error: unknown): undefined {
    if (hasCode(error, "blob-not-found")) return;
    if (!hasCode(error, "blob-damaged")) throw error;
    this.#options.logger.warn({ blobId: facts.blobId }, "a damaged replica is replaced");
  }

  /** Passes on what the store answers; reports the failure that ends it. */
  async #watched<Result>(call: Promise<Result>): Promise<Result> {
    try {
      return await call;
    } catch (error) {
      if (hasCode(error, "storage-failed") && !this.#fatal) {
        this.#fatal = true;
        this.#options.onFatal(error);
      }
      throw error;
    }
  }
}
