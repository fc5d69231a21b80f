import { type Dispatcher, Pool } from "undici";
import { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import type { Address } from "../catalog/types.ts";
import { answerProofHeader, type Membership } from "./membership.ts";
import { errorOfAnswer } from "./peer-problem.ts";
import type { PeerDirectory } from "./types.ts";

/** Where a call goes. `node` is undefined while only the address is known. */
export interface CallTarget {
  readonly node: NodeId | undefined;
  readonly address: Address;
}

/** Short calls are answered at once and never wait behind long ones, which hold a connection for as long as bytes flow. */
export type Lane = "short" | "long";

export interface Call {
  readonly method: "GET" | "POST" | "PUT";
  /** With its query. */
  readonly path: string;
  readonly lane: Lane;
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  readonly contentType: string | undefined;
  /** How long nothing may come back, 102s aside, before the peer counts as unreachable; undefined: the caller watches. */
  readonly progressMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Called with each 102: the peer is alive and works on it. */
  readonly onProcessing: (() => void) | undefined;
}

/** A 2xx answer whose sender proved to be the peer; the body is still to be read, or dumped. */
export type Answer = Dispatcher.ResponseData;

/** Signed calls over kept-alive, bounded connections. */
export class PeerHttp {
  readonly #directory: PeerDirectory;
  readonly #membership: Membership;
  readonly #connectMs: number;
  readonly #pools = new Map<string, Pool>();

  constructor(options: {
    readonly directory: PeerDirectory;
    readonly membership: Membership;
    readonly connectMs: number;
  }) {
    this.#directory = options.directory;
    this.#membership = options.membership;
    this.#connectMs = options.connectMs;
  }

  /** @throws {DepositoError} `peer-unreachable` for a node the directory does not know. */
  target(node: NodeId): CallTarget {
    const address = this.#directory.peers().find((peer) => peer.id === node)?.address;
    if (address === undefined) throw new DepositoError("peer-unreachable", `no address is known for node ${node}`);
    return { node, address };
  }

  /** @throws {DepositoError} `peer-unreachable`, `not-a-member`, or what the peer answered instead (`peer-problem.ts`). */
  async call(target: CallTarget, call: Call): Promise<Answer> {
    const { node } = target;
    const signed = this.#membership.signCall({ to: node, method: call.method, path: call.path });
    const headers: Record<string, string> = { authorization: signed.authorization };
    if (call.contentType !== undefined) headers["content-type"] = call.contentType;
    const answer = await this.#dispatch(target, call, headers);
    // The body may break off before its reader has begun; the reader is told all the same.
    answer.body.on("error", () => {});
    if (answer.statusCode >= 300) {
      throw errorOfAnswer(nameOf(target), answer.statusCode, await readText(target, answer));
    }
    const proof = answer.headers[answerProofHeader];
    const proved = typeof proof === "string" ? proof : undefined;
    if (!this.#membership.checkAnswer({ nonce: signed.nonce, proof: proved, from: node })) {
      answer.body.destroy();
      throw new DepositoError("not-a-member", `who answered in place of ${nameOf(target)} did not prove to be it`);
    }
    return answer;
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  async #dispatch(target: CallTarget, call: Call, headers: Record<string, string>): Promise<Answer> {
    try {
      return await this.#pool(target.address, call.lane).request({
        method: call.method,
        path: call.path,
        headers,
        // undici takes async iterables too, its types do not say so.
        body: (call.body ?? null) as Uint8Array | null,
        headersTimeout: call.progressMs ?? 0,
        bodyTimeout: call.progressMs ?? 0,
        signal: call.signal ?? null,
        onInfo: call.onProcessing ?? ignoreProcessing,
      });
    } catch (error) {
      if (call.signal?.aborted === true) throw call.signal.reason;
      throw unreachable(target, error);
    }
  }

  #pool({ host, port }: Address, lane: Lane): Pool {
    const origin = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    const key = `${lane} ${origin}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: laneConnections[lane],
        pipelining: 1,
        // Shorter than the peer keeps them, so that a call never meets a connection that is just being closed.
        keepAliveTimeout: keepAliveMs,
        keepAliveMaxTimeout: keepAliveMs,
        connect: { timeout: this.#connectMs },
      });
      this.#pools.set(key, pool);
    }
    return pool;
  }
}

/** The whole body as text, of a few KiB. */
export async function readText(target: CallTarget, answer: Answer): Promise<string> {
  return (await readBytes(target, answer, maxTextBytes)).toString("utf8");
}

/** The whole body. @throws {DepositoError} `peer-unreachable` when it breaks off, `peer-refused` beyond `maxBytes`. */
export async function readBytes(target: CallTarget, answer: Answer, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw unreachable(target, error);
  }
  if (sizeBytes > maxBytes) {
    throw new DepositoError("peer-refused", `${nameOf(target)} answered with more than ${maxBytes} bytes`);
  }
  return Buffer.concat(chunks, sizeBytes);
}

/** A connection that failed, as the error that says so. */
export function unreachable(target: CallTarget, cause: unknown): DepositoError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new DepositoError("peer-unreachable", `${nameOf(target)}: ${reason}`, { cause });
}

function nameOf({ node, address }: CallTarget): string {
  return node === undefined ? `${address.host}:${address.port}` : `node ${node}`;
}

const ignoreProcessing = () => {};
const keepAliveMs = 30_000;
const laneConnections: Readonly<Record<Lane, number>> = { short: 16, long: 256 };
const maxTextBytes = 64 * 1024;
