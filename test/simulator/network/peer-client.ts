import { DepositoError, hasCode } from "../../../node/base/errors.ts";
import type { BlobId, Incarnation, NodeId, Staged } from "../../../node/base/ids.ts";
import { InvariantError } from "../../../node/base/invariant.ts";
import type { Address, BlobFacts } from "../../../node/catalog/types.ts";
import type { PeerServices } from "../../../node/peer-api/context.ts";
import { type BatchResult, decodeBatch, encodeBatch, type SmallBlob } from "../../../node/transport/batch-codec.ts";
import { encodeHello, parseHello } from "../../../node/transport/hello-codec.ts";
import type { HttpPeerClientOptions } from "../../../node/transport/peer-client.ts";
import { errorOfAnswer, peerProblem, problemOfError } from "../../../node/transport/peer-problem.ts";
import { SmallBlobBatcher } from "../../../node/transport/small-blob-batcher.ts";
import { decodeSnapshotChunk, encodeSnapshotChunk } from "../../../node/transport/snapshot-codec.ts";
import type { BlobSink, Hello, PeerClient, SnapshotChunk, SnapshotCursor } from "../../../node/transport/types.ts";
import type { Life } from "../life.ts";
import { must } from "../violation.ts";
import { Exchange } from "./exchange.ts";
import type { PeerPort, SimulatedHosts } from "./hosts.ts";

interface Target {
  readonly host: NodeId;
  /** Undefined: only the address is known. */
  readonly node: NodeId | undefined;
}

/** Calls to peers, served by the very services that the peer port serves, with the same checks of who is a member. */
export class SimulatedPeerClient implements PeerClient {
  readonly #hosts: SimulatedHosts;
  readonly #life: Life;
  readonly #options: HttpPeerClientOptions;
  readonly #batchers = new Map<NodeId, SmallBlobBatcher>();

  constructor(hosts: SimulatedHosts, life: Life, options: HttpPeerClientOptions) {
    this.#hosts = hosts;
    this.#life = life;
    this.#options = options;
  }

  async hello(address: Address): Promise<Hello> {
    const target = { host: address.host as NodeId, node: undefined };
    const text = await this.#call(target, async (port) => encodeHello(port.options.hello()));
    const hello = parseHello(text);
    must("Codec", hello !== undefined, () => `a hello does not parse: ${text}`);
    return hello;
  }

  storeSmall(to: NodeId, facts: BlobFacts, bytes: Uint8Array): Promise<Staged> {
    return this.#batcher(to).store({ facts, bytes });
  }

  async openSink(to: NodeId, blobId: BlobId): Promise<BlobSink> {
    const { promise: failed, reject } = Promise.withResolvers<never>();
    failed.catch(() => undefined);
    const opened = Promise.withResolvers<BlobSink>();
    const exchange = this.#exchange(this.#member(to), reject, (port, exchange) =>
      this.#serve(port, exchange, reject, async () => {
        const sink = await this.#servicesOf(port, to).holder.openSink(blobId, undefined);
        exchange.onCallerGone = () => void sink.abort().catch(() => undefined);
        if (exchange.isEnded) return exchange.onCallerGone();
        exchange.toCaller(() => opened.resolve(this.#sink(to, { exchange, port, sink, failed, reject })));
      }),
    );
    return this.#orEnd(exchange, Promise.race([opened.promise, failed]));
  }

  async readBlob(
    from: NodeId,
    blobId: BlobId,
    range: { readonly start: number; readonly end: number },
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    signal.throwIfAborted();
    const { promise: failed, reject } = Promise.withResolvers<never>();
    failed.catch(() => undefined);
    const opened = Promise.withResolvers<AsyncIterator<Uint8Array>>();
    const served: { port?: PeerPort } = {};
    const exchange = this.#exchange(this.#member(from), reject, (port, exchange) =>
      this.#serve(port, exchange, reject, async () => {
        served.port = port;
        const services = this.#servicesOf(port, from);
        const bytes = await reportingLoss(services, blobId, services.holder.read(blobId, range));
        const iterator = bytes[Symbol.asyncIterator]();
        exchange.onCallerGone = () => void iterator.return?.()?.catch(() => undefined);
        if (exchange.isEnded) return exchange.onCallerGone();
        exchange.toCaller(() => opened.resolve({ next: () => reportingLoss(services, blobId, iterator.next()) }));
      }),
    );
    const abort = () => {
      exchange.end(false);
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    // The runtime keeps a combined signal alive as long as somebody listens, beyond the end of its world.
    exchange.onEnd(() => signal.removeEventListener("abort", abort));
    const iterator = await this.#orEnd(exchange, Promise.race([opened.promise, failed]));
    const { port } = served;
    must("Network", port !== undefined, () => "an answer without a port");
    return this.#chunks({ exchange, port, iterator, failed, reject }, range.end - range.start);
  }

  async askToPull(on: NodeId, from: NodeId, facts: BlobFacts): Promise<Staged> {
    return this.#call(this.#member(on), (port) => this.#servicesOf(port, on).holder.pull(from, { ...facts }));
  }

  async discard(on: NodeId, blobIds: readonly BlobId[]): Promise<void> {
    await this.#call(this.#member(on), (port) => this.#servicesOf(port, on).holder.discard([...blobIds]));
  }

  async snapshotChunk(from: NodeId, at: SnapshotCursor | undefined): Promise<SnapshotChunk> {
    const cursor = at && { session: at.session, after: Buffer.from(at.after) };
    const bytes = await this.#call(this.#member(from), async (port) =>
      encodeSnapshotChunk(await this.#servicesOf(port, from).snapshots.chunk(this.#life.node, cursor)),
    );
    const chunk = decodeSnapshotChunk(bytes);
    must("Codec", chunk !== undefined, () => "a snapshot chunk does not decode");
    return chunk;
  }

  async close(): Promise<void> {}

  #batcher(to: NodeId): SmallBlobBatcher {
    let batcher = this.#batchers.get(to);
    if (batcher === undefined) {
      batcher = new SmallBlobBatcher({
        clock: this.#options.clock,
        limits: { maxBytes: this.#options.maxSmallBatchBytes, maxCount: 512, maxInFlight: 3 },
        post: (blobs) => this.#postBatch(to, blobs),
        mismatch: ({ facts }) => new DepositoError("digest-mismatch", `blob ${facts.blobId} arrived damaged at ${to}`),
      });
      this.#batchers.set(to, batcher);
    }
    return batcher;
  }

  #postBatch(to: NodeId, blobs: readonly SmallBlob[]): Promise<readonly BatchResult[]> {
    const body = encodeBatch(blobs);
    return this.#call(this.#member(to), async (port) => {
      const decoded = decodeBatch(body);
      must("Codec", decoded !== undefined, () => "a batch of blobs does not decode");
      return this.#servicesOf(port, to).holder.storeSmall(decoded);
    });
  }

  #sink(to: NodeId, call: OpenCall & { readonly sink: BlobSink }): BlobSink {
    const { exchange, sink } = call;
    return {
      node: to,
      write: async (chunk) => {
        const bytes = Buffer.from(chunk);
        await this.#within(call, () => sink.write(bytes));
      },
      commit: async (facts) => {
        const staged = await this.#within(call, () => sink.commit({ ...facts }));
        exchange.end(true);
        return staged;
      },
      abort: async () => exchange.end(false),
    };
  }

  async *#chunks(
    call: OpenCall & { readonly iterator: AsyncIterator<Uint8Array> },
    sizeBytes: number,
  ): AsyncGenerator<Uint8Array> {
    let received = 0;
    try {
      for (;;) {
        const next = await this.#within(call, async () => {
          const read = await call.iterator.next();
          return read.done === true ? undefined : Buffer.from(read.value);
        });
        if (next === undefined) break;
        received += next.length;
        yield next;
      }
    } finally {
      call.exchange.end(false);
    }
    must("Network", received === sizeBytes, () => `${received} of ${sizeBytes} bytes of a blob`);
  }

  /** One more piece of work in a call that is open. */
  #within<T>({ exchange, port, failed, reject }: OpenCall, work: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<T>();
    exchange.toCallee(() =>
      this.#serve(port, exchange, reject, async () => {
        const result = await work();
        exchange.toCaller(() => resolve(result));
      }),
    );
    return Promise.race([promise, failed]);
  }

  /** One request and its answer. */
  async #call<T>(target: Target, work: (port: PeerPort) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const exchange = this.#exchange(target, reject, (port, exchange) =>
      this.#serve(port, exchange, reject, async () => {
        const result = await work(port);
        const { incarnation } = port.options.directory.self;
        exchange.toCaller(() => {
          if (this.#isProved(target, incarnation)) resolve(result);
          else reject(new DepositoError("not-a-member", `who answered in place of ${target.host} is another`));
        });
      }),
    );
    try {
      return await promise;
    } finally {
      exchange.end(true);
    }
  }

  #exchange(
    target: Target,
    reject: (error: unknown) => void,
    arrived: (port: PeerPort, exchange: Exchange) => void,
  ): Exchange {
    const exchange: Exchange = new Exchange({
      hosts: this.#hosts,
      caller: this.#life,
      host: target.host,
      arrived: (port) => arrived(port, exchange),
      onFailure: (cause) =>
        reject(new DepositoError("peer-unreachable", `node ${target.host}: ${cause.message}`, { cause })),
    });
    return exchange;
  }

  /** Does the callee's part; what it throws is told as the peer port tells it. */
  #serve(port: PeerPort, exchange: Exchange, reject: (error: unknown) => void, work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (error instanceof InvariantError || hasCode(error, "storage-failed") || hasCode(error, "catalog-damaged")) {
        port.options.fatal(error);
        exchange.toCaller(() => exchange.fail(new Error("connection reset")));
        return;
      }
      const isExpected = error instanceof DepositoError || isAbort(error);
      if (!isExpected) this.#hosts.onBug(`a call to ${port.life.node}`, error);
      const problem = problemOfError(error) ?? peerProblem("internal-error", String(error));
      exchange.toCaller(() => {
        exchange.end(true);
        reject(errorOfAnswer(`node ${port.life.node}`, problem.status, JSON.stringify(problem)));
      });
    });
  }

  async #orEnd<T>(exchange: Exchange, promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      exchange.end(false);
      throw error;
    }
  }

  #servicesOf(port: PeerPort, to: NodeId): PeerServices {
    const { nodeId, incarnation, clusterId } = this.#options.directory.self;
    const reason = port.membership.whyNotMember({ nodeId, incarnation, clusterId, to, nonce: "" });
    if (reason !== undefined) throw new DepositoError("not-a-member", reason);
    const services = port.options.services();
    if (services === undefined) throw port.options.notServing();
    return services;
  }

  #isProved({ node }: Target, incarnation: Incarnation): boolean {
    return node === undefined || this.#options.directory.admits(node, incarnation);
  }

  #member(node: NodeId): Target {
    const { directory } = this.#options;
    const address = directory.peers().find(({ id }) => id === node)?.address;
    if (address === undefined) throw new DepositoError("peer-unreachable", `node ${node} is not a known peer`);
    return { host: address.host as NodeId, node };
  }
}

interface OpenCall {
  readonly exchange: Exchange;
  readonly port: PeerPort;
  readonly failed: Promise<never>;
  readonly reject: (error: unknown) => void;
}

async function reportingLoss<T>({ reportLost }: PeerServices, blobId: BlobId, read: Promise<T>): Promise<T> {
  try {
    return await read;
  } catch (error) {
    if (hasCode(error, "blob-damaged")) reportLost({ blobId, how: "damaged" });
    if (hasCode(error, "blob-not-found")) reportLost({ blobId, how: "gone" });
    throw error;
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
