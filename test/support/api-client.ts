import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { type Dispatcher, request } from "undici";
import { basic, type Credentials } from "../../scripts/cluster-api.ts";

/** A record as it travels (contract, "Depositing"). */
export interface RecordBody {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  readonly contentType: string;
  readonly replicas: number;
  readonly version: number;
  readonly etag: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly outcome?: "created" | "replaced" | "replicas-changed" | "unchanged";
  readonly placement: readonly { readonly node: string; readonly state: "present" | "missing" }[];
}

/** A refusal (RFC 9457). */
export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}

/** A whole answer. */
export class Reply {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData["headers"];
  readonly bytes: Buffer;

  constructor(status: number, headers: Dispatcher.ResponseData["headers"], bytes: Buffer) {
    this.status = status;
    this.headers = headers;
    this.bytes = bytes;
  }

  header(name: string): string | undefined {
    const value = this.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  json(): unknown {
    return JSON.parse(this.bytes.toString());
  }

  /** @throws when the answer is no record, with what it is instead. */
  get record(): RecordBody {
    if (this.status !== 200 && this.status !== 201)
      throw new Error(`no record but ${this.status}: ${this.bytes.toString()}`);
    return this.json() as RecordBody;
  }

  /** The slug of the refusal, such as `no-quorum`; undefined when it is none. */
  get slug(): string | undefined {
    if (this.header("content-type")?.startsWith("application/problem+json") !== true) return undefined;
    return (this.json() as ProblemBody).type.replace("/problems/", "");
  }
}

export type Body = Uint8Array | string | AsyncIterable<Uint8Array> | null;

export interface DepositOptions {
  readonly replicas: number;
  readonly contentType: string;
  readonly ifMatch: string;
  readonly ifNoneMatch: string;
  /** Sends `Repr-Digest`; for bodies held in memory only. */
  readonly digest: boolean;
  readonly limitMs: number;
}

/** Answers the URL of a node's API; the client asks anew each time. */
export type Locate = (node: string) => string;

const defaultLimitMs = 15_000;

/** One depositor, who may ask any node. Every call ends within its limit, by throwing if need be; none is tried again. */
export class ApiClient {
  readonly credentials: Credentials;
  readonly #locate: Locate;
  readonly #dispatcher: Dispatcher;

  constructor(credentials: Credentials, locate: Locate, dispatcher: Dispatcher) {
    this.credentials = credentials;
    this.#locate = locate;
    this.#dispatcher = dispatcher;
  }

  deposit(node: string, name: string, body: Body, options: Partial<DepositOptions> = {}): Promise<Reply> {
    const headers: Record<string, string> = {};
    if (options.replicas !== undefined) headers["deposito-replicas"] = String(options.replicas);
    if (options.contentType !== undefined) headers["content-type"] = options.contentType;
    if (options.ifMatch !== undefined) headers["if-match"] = options.ifMatch;
    if (options.ifNoneMatch !== undefined) headers["if-none-match"] = options.ifNoneMatch;
    if (options.digest === true && (typeof body === "string" || body instanceof Uint8Array)) {
      headers["repr-digest"] = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    }
    return this.send(node, "PUT", `/v1/files/${encodeName(name)}`, { headers, body, limitMs: options.limitMs });
  }

  retrieve(node: string, name: string, options: { readonly range?: string; readonly limitMs?: number } = {}) {
    const headers = options.range === undefined ? {} : { range: options.range };
    return this.send(node, "GET", `/v1/files/${encodeName(name)}`, { headers, limitMs: options.limitMs });
  }

  remove(node: string, name: string, options: { readonly ifMatch?: string; readonly limitMs?: number } = {}) {
    const headers = options.ifMatch === undefined ? {} : { "if-match": options.ifMatch };
    return this.send(node, "DELETE", `/v1/files/${encodeName(name)}`, { headers, limitMs: options.limitMs });
  }

  record(node: string, name: string, options: { readonly limitMs?: number } = {}): Promise<Reply> {
    return this.send(node, "GET", `/v1/records/${encodeName(name)}`, { limitMs: options.limitMs });
  }

  edit(
    node: string,
    name: string,
    change: { readonly replicas?: number; readonly contentType?: string },
    options: { readonly ifMatch?: string; readonly limitMs?: number } = {},
  ): Promise<Reply> {
    return this.send(node, "PATCH", `/v1/records/${encodeName(name)}`, {
      headers: {
        "content-type": "application/json",
        ...(options.ifMatch === undefined ? {} : { "if-match": options.ifMatch }),
      },
      body: JSON.stringify(change),
      limitMs: options.limitMs,
    });
  }

  list(node: string, query: Readonly<Record<string, string | number>> = {}): Promise<Reply> {
    const entries = Object.entries(query).map(([key, value]): [string, string] => [key, String(value)]);
    return this.send(node, "GET", `/v1/records?${new URLSearchParams(entries).toString()}`);
  }

  /** Any request, with this client's credentials unless `headers` has others. */
  async send(
    node: string,
    method: Dispatcher.HttpMethod,
    path: string,
    options: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: Body;
      readonly limitMs?: number | undefined;
    } = {},
  ): Promise<Reply> {
    const answer = await request(`${this.#locate(node)}${path}`, {
      method,
      headers: { authorization: basic(this.credentials), ...options.headers },
      body:
        options.body instanceof Object && Symbol.asyncIterator in options.body
          ? Readable.from(options.body, { objectMode: false })
          : (options.body ?? null),
      dispatcher: this.#dispatcher,
      signal: AbortSignal.timeout(options.limitMs ?? defaultLimitMs),
    });
    return new Reply(answer.statusCode, answer.headers, Buffer.from(await answer.body.arrayBuffer()));
  }
}

/** A name as it stands in a path: each segment percent-encoded, the slashes kept. */
export function encodeName(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}
