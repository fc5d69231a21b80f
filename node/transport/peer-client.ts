import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import { type BlobId, type NodeId, type Staged, staged } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Address, BlobFacts } from "../catalog/types.ts";
import { type BatchResult, decodeBatchResults, encodeBatch, type SmallBlob } from "./batch-codec.ts";
import { parseHello } from "./hello-codec.ts";
import { Membership } from "./membership.ts";
import { type Answer, type Call, type CallTarget, PeerHttp, readBytes, readText, unreachable } from "./peer-http.ts";
import { RemoteSink } from "./remote-sink.ts";
import { type BatchLimits, SmallBlobBatcher } from "./small-blob-batcher.ts";
import { decodeSnapshotChunk, snapshotPath } from "./snapshot-codec.ts";
import type { BlobSink, Hello, PeerClient, PeerDirectory, SnapshotChunk, SnapshotCursor } from "./types.ts";

export interface HttpPeerClientOptions {
  readonly directory: PeerDirectory;
  readonly secret: string;
  readonly clock: Clock;
  /** False only to measure what batching brings: every small blob in a request of its own. */
  readonly batching: boolean;
  /** Blob bytes in one batch; the peers' `maxSmallBatchBytes` or less. */
  readonly maxSmallBatchBytes: number;
}

/** How long a peer may keep this node waiting, in each kind of wait. */
export interface PeerDeadlines {
  readonly connectMs: number;
  readonly openMs: number;
  readonly progressMs: number;
  readonly commitMs: number;
}

/** Calls to peers over HTTP (see `types.ts` for what each does, `peer-problem.ts` for how answers become errors). */
export class HttpPeerClient implements PeerClient {
  readonly #http: PeerHttp;
  readonly #clock: Clock;
  readonly #deadlines: PeerDeadlines;
  readonly #batchLimits: BatchLimits;
  readonly #batchers = new Map<NodeId, SmallBlobBatcher>();

  constructor(options: HttpPeerClientOptions, deadlines: PeerDeadlines = peerDeadlines) {
    const { directory, clock } = options;
    const membership = new Membership({ secret: options.secret, directory });
    this.#http = new PeerHttp({ directory, membership, connectMs: deadlines.connectMs });
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#batchLimits = options.batching
      ? { maxBytes: options.maxSmallBatchBytes, maxCount: 512, maxInFlight: 3 }
      : { maxBytes: options.maxSmallBatchBytes, maxCount: 1, maxInFlight: Number.POSITIVE_INFINITY };
  }

  async hello(address: Address): Promise<Hello> {
    const target = { node: undefined, address };
    const answer = await this.#call(target, { method: "GET", path: "/peer/hello" });
    const hello = parseHello(await readText(target, answer));
    if (hello === undefined) throw malformed(target, "hello");
    return hello;
  }

  async storeSmall(to: NodeId, facts: BlobFacts, bytes: Uint8Array): Promise<Staged> {
    invariant(bytes.length === facts.sizeBytes, () => `${bytes.length} bytes of a blob of ${facts.sizeBytes}`);
    return this.#batcher(to).store({ facts, bytes });
  }

  async openSink(to: NodeId, blobId: BlobId): Promise<BlobSink> {
    const target = { ...this.#http.target(to), node: to };
    return RemoteSink.open({
      http: this.#http,
      target,
      path: `/peer/blobs/${blobId}`,
      blobId,
      clock: this.#clock,
      openMs: this.#deadlines.openMs,
      progressMs: this.#deadlines.progressMs,
      commitMs: this.#deadlines.commitMs,
      readStaged: (text) => stagedOf(target, text),
      readText: (answer) => readText(target, answer),
    });
  }

  async readBlob(
    from: NodeId,
    blobId: BlobId,
    range: { readonly start: number; readonly end: number },
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const target = this.#http.target(from);
    const path = `/peer/blobs/${blobId}?start=${range.start}&end=${range.end}`;
    const answer = await this.#call(target, { method: "GET", path, lane: "long", signal });
    return wholeRange(target, answer, range.end - range.start, signal);
  }

  async askToPull(on: NodeId, from: NodeId, facts: BlobFacts): Promise<Staged> {
    const target = this.#http.target(on);
    const path = `/peer/blobs/${facts.blobId}/pull`;
    // A pull may take minutes and holds its connection all the while; 102s say that it goes on.
    const answer = await this.#call(target, { method: "POST", path, lane: "long", ...json({ from, facts }) });
    return stagedOf(target, await readText(target, answer));
  }

  async discard(on: NodeId, blobIds: readonly BlobId[]): Promise<void> {
    const target = this.#http.target(on);
    for (let at = 0; at < blobIds.length; at += maxDiscardedAtOnce) {
      const some = blobIds.slice(at, at + maxDiscardedAtOnce);
      const answer = await this.#call(target, { method: "POST", path: "/peer/discard", ...json({ blobIds: some }) });
      await answer.body.dump();
    }
  }

  async snapshotChunk(from: NodeId, at: SnapshotCursor | undefined): Promise<SnapshotChunk> {
    const target = this.#http.target(from);
    const answer = await this.#call(target, { method: "GET", path: snapshotPath(at) });
    const chunk = decodeSnapshotChunk(await readBytes(target, answer, maxSnapshotChunkBytes));
    // Asked for again it may arrive whole.
    if (chunk === undefined) throw unreachable(target, new Error("a snapshot chunk arrived damaged"));
    return chunk;
  }

  async close(): Promise<void> {
    await this.#http.close();
  }

  #call(target: CallTarget, call: Pick<Call, "method" | "path"> & Partial<Call>): Promise<Answer> {
    return this.#http.call(target, { ...plainCall, progressMs: this.#deadlines.progressMs, ...call });
  }

  #batcher(to: NodeId): SmallBlobBatcher {
    let batcher = this.#batchers.get(to);
    if (batcher === undefined) {
      batcher = new SmallBlobBatcher({
        clock: this.#clock,
        limits: this.#batchLimits,
        post: (blobs) => this.#postBatch(to, blobs),
        mismatch: ({ facts }) => new DepositoError("digest-mismatch", `blob ${facts.blobId} arrived damaged at ${to}`),
      });
      this.#batchers.set(to, batcher);
    }
    return batcher;
  }

  async #postBatch(to: NodeId, blobs: readonly SmallBlob[]): Promise<readonly BatchResult[]> {
    const target = this.#http.target(to);
    const body = encodeBatch(blobs);
    const contentType = "application/octet-stream";
    const answer = await this.#call(target, { method: "POST", path: "/peer/blobs", body, contentType });
    const results = decodeBatchResults(parseJson(await readText(target, answer)), blobs.length);
    if (results === undefined) throw malformed(target, "answer to a batch");
    return results;
  }
}

/** Fails with `peer-unreachable` when the bytes break off before the end of the range. */
async function* wholeRange(
  target: CallTarget,
  answer: Answer,
  sizeBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let received = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (received > sizeBytes) throw new Error(`sent more than the ${sizeBytes} bytes asked for`);
      yield chunk;
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw unreachable(target, error);
  }
  if (received < sizeBytes) throw unreachable(target, new Error(`sent ${received} of ${sizeBytes} bytes`));
}

function stagedOf(target: CallTarget, text: string): Staged {
  const answer = stagedSchema.safeParse(parseJson(text)).data;
  if (answer === undefined) throw malformed(target, "answer to a stored blob");
  return staged(answer.staged);
}

function malformed(target: CallTarget, what: string): DepositoError {
  return new DepositoError("peer-refused", `node ${target.node ?? target.address.host} sent a malformed ${what}`);
}

function json(body: unknown): Pick<Call, "body" | "contentType"> {
  return { body: Buffer.from(JSON.stringify(body)), contentType: "application/json" };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // judged by the schema that reads it
  }
}

const stagedSchema = z.object({ staged: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER) });
const plainCall: Omit<Call, "method" | "path" | "progressMs"> = {
  lane: "short",
  body: undefined,
  contentType: undefined,
  signal: undefined,
  onProcessing: undefined,
};
const peerDeadlines: PeerDeadlines = { connectMs: 2_000, openMs: 3_000, progressMs: 10_000, commitMs: 120_000 };
const maxDiscardedAtOnce = 10_000;
const maxSnapshotChunkBytes = 64 * 1024 * 1024;
