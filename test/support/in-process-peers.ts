import { DepositoError } from "../../node/base/errors.ts";
import type { BlobId, NodeId, Staged } from "../../node/base/ids.ts";
import type { Address, BlobFacts } from "../../node/catalog/types.ts";
import type { LocalHolder } from "../../node/depot/types.ts";
import type { BlobSink, Hello, PeerClient, SnapshotChunk } from "../../node/transport/types.ts";

/** One step on the way to a holder, its own node's too; `bytes` is how many went through this sink or read before. */
export interface HolderCall {
  readonly type: "store" | "open" | "write" | "commit" | "abort" | "read" | "pull" | "discard";
  readonly from: NodeId;
  readonly to: NodeId;
  readonly bytes: number;
}

/** What stands between the nodes of a test: sees every call to a holder, and may fail it or make it wait. */
export interface Wire {
  holder(node: NodeId): LocalHolder;
  isDown(node: NodeId): boolean;
  before(call: HolderCall): void | Promise<void>;
  /** The byte of a blob at which reading it from this node breaks off. */
  readonly breaksReadsAt: Map<NodeId, number>;
  /** Who answers at an address. */
  hello(address: Address): Promise<Hello>;
}

export function unreachable(node: NodeId): DepositoError {
  return new DepositoError("peer-unreachable", `${node} does not answer`);
}

/** Calls to other nodes' holders without a network. */
export class InProcessPeers implements PeerClient {
  readonly #self: NodeId;
  readonly #wire: Wire;

  constructor(self: NodeId, wire: Wire) {
    this.#self = self;
    this.#wire = wire;
  }

  async storeSmall(to: NodeId, facts: BlobFacts, bytes: Uint8Array): Promise<Staged> {
    await this.#pass("store", to);
    const [stored] = await this.#wire.holder(to).storeSmall([{ facts, bytes }]);
    if (stored === undefined || "failed" in stored) throw new DepositoError("digest-mismatch", "not these bytes");
    return stored.staged;
  }

  async openSink(to: NodeId, blobId: BlobId): Promise<BlobSink> {
    await this.#pass("open", to);
    return watchedSink(await this.#wire.holder(to).openSink(blobId, undefined), this.#self, this.#wire);
  }

  async readBlob(from: NodeId, blobId: BlobId, range: { readonly start: number; readonly end: number }) {
    await this.#pass("read", from);
    return breaking(await this.#wire.holder(from).read(blobId, range), range.start, from, this.#wire);
  }

  async askToPull(on: NodeId, from: NodeId, facts: BlobFacts): Promise<Staged> {
    await this.#pass("pull", on);
    return this.#wire.holder(on).pull(from, facts);
  }

  async discard(on: NodeId, blobIds: readonly BlobId[]): Promise<void> {
    await this.#pass("discard", on);
    await this.#wire.holder(on).discard(blobIds);
  }

  hello(address: Address): Promise<Hello> {
    return this.#wire.hello(address);
  }
  snapshotChunk(): Promise<SnapshotChunk> {
    throw new Error("not part of these tests");
  }
  async close(): Promise<void> {}

  async #pass(type: HolderCall["type"], to: NodeId): Promise<void> {
    if (this.#wire.isDown(to)) throw unreachable(to);
    await this.#wire.before({ type, from: this.#self, to, bytes: 0 });
  }
}

/** A node's own holder, with the same interference as between nodes. */
export function watchedHolder(self: NodeId, holder: LocalHolder, wire: Wire): LocalHolder {
  const pass = (type: HolderCall["type"]) => wire.before({ type, from: self, to: self, bytes: 0 });
  return {
    async openSink(blobId, expectedBytes) {
      await pass("open");
      return watchedSink(await holder.openSink(blobId, expectedBytes), self, wire);
    },
    async storeSmall(blobs) {
      await pass("store");
      return holder.storeSmall(blobs);
    },
    async read(blobId, range) {
      await pass("read");
      return breaking(await holder.read(blobId, range), range.start, self, wire);
    },
    async pull(from, facts) {
      await pass("pull");
      return holder.pull(from, facts);
    },
    async discard(blobIds) {
      await pass("discard");
      return holder.discard(blobIds);
    },
  };
}

function watchedSink(sink: BlobSink, from: NodeId, wire: Wire): BlobSink {
  let bytes = 0;
  const to = sink.node;
  const pass = async (type: HolderCall["type"]) => {
    try {
      if (wire.isDown(to)) throw unreachable(to);
      await wire.before({ type, from, to, bytes });
    } catch (error) {
      await sink.abort(); // as the holder does when the connection breaks
      throw error;
    }
  };
  return {
    node: to,
    async write(chunk) {
      await pass("write");
      await sink.write(chunk);
      bytes += chunk.length;
    },
    async commit(facts) {
      await pass("commit");
      return sink.commit(facts);
    },
    async abort() {
      await pass("abort");
      await sink.abort();
    },
  };
}

async function* breaking(
  chunks: AsyncIterable<Uint8Array>,
  start: number,
  node: NodeId,
  wire: Wire,
): AsyncGenerator<Uint8Array> {
  let at = start;
  for await (const chunk of chunks) {
    const breakAt = wire.breaksReadsAt.get(node) ?? Number.POSITIVE_INFINITY;
    const left = wire.isDown(node) ? 0 : breakAt - at;
    if (left < chunk.length) {
      if (left > 0) yield chunk.subarray(0, left);
      throw unreachable(node);
    }
    yield chunk;
    at += chunk.length;
  }
}
