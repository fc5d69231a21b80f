import { createHash } from "node:crypto";
import type { ApiClient, Reply } from "../support/api-client.ts";
import { sha256Of } from "../support/sha256.ts";
import type { Invocation } from "./checker.ts";
import type { FileOperation, FileResult } from "./file-model.ts";

/** Performs operations through the API and keeps the history that the checker judges. */
export class Recorder {
  readonly #client: ApiClient;
  readonly #limitMs: number;
  readonly #history: Invocation[] = [];
  readonly #surprises: string[] = [];
  #withoutEffect = 0;

  /** Each operation ends within `limitMs`, by having an unknown outcome if need be. */
  constructor(client: ApiClient, limitMs: number) {
    this.#client = client;
    this.#limitMs = limitMs;
  }

  get history(): readonly Invocation[] {
    return this.#history;
  }
  /** Answers that the contract does not allow, in words. */
  get surprises(): readonly string[] {
    return this.#surprises;
  }
  /** How many were refused or not even sent: certainly without effect, so not in the history. */
  get withoutEffect(): number {
    return this.#withoutEffect;
  }

  /** Performs one operation; what was learned of it is in the history then. */
  async perform(process: string, node: string, name: string, operation: FileOperation): Promise<Learned> {
    const calledAt = performance.now();
    const learned = await this.#ask(node, name, operation);
    if (learned.type === "without-effect") {
      this.#withoutEffect++;
      return learned;
    }
    const outcome = learned.type === "unknown" ? undefined : { returnedAt: performance.now(), result: learned.result };
    this.#history.push({ process, name, operation, calledAt, outcome });
    return learned;
  }

  async #ask(node: string, name: string, operation: FileOperation): Promise<Learned> {
    let reply: Reply;
    try {
      reply = await this.#send(node, name, operation);
    } catch (error) {
      return { type: wasNotSent(error) ? "without-effect" : "unknown" };
    }
    const meaning = interpret(reply, operation);
    if (meaning.type === "surprise") {
      const text = reply.bytes.toString("utf8", 0, 300);
      this.#surprises.push(`${operation.type} of ${name} through ${node}: ${reply.status} ${text}`);
      return { type: "unknown" };
    }
    return meaning;
  }

  #send(node: string, name: string, operation: FileOperation): Promise<Reply> {
    const limit = { limitMs: this.#limitMs };
    switch (operation.type) {
      case "deposit":
        return this.#client.deposit(node, name, bytesOf(operation.value), limit);
      case "create":
        return this.#client.deposit(node, name, bytesOf(operation.value), { ...limit, ifNoneMatch: "*" });
      case "compare-and-set":
        return this.#client.deposit(node, name, bytesOf(operation.value), {
          ...limit,
          ifMatch: `"${sha256Of(bytesOf(operation.expected))}"`,
        });
      case "delete":
        return this.#client.remove(node, name, limit);
      case "retrieve":
        return this.#client.retrieve(node, name, limit);
    }
  }
}

/** What a client learned of one operation. */
export type Learned =
  | { readonly type: "result"; readonly result: FileResult }
  | { readonly type: "unknown" }
  /** It certainly did not happen. */
  | { readonly type: "without-effect" };

/** What an answer says of the file; a surprise is one that the contract does not allow here. */
function interpret(reply: Reply, operation: FileOperation): Learned | { readonly type: "surprise" } {
  const { status } = reply;
  if (status === 503 || status === 408) return { type: "unknown" };
  if (status === 429 || status === 507) return { type: "without-effect" };
  switch (operation.type) {
    case "deposit":
    case "create":
    case "compare-and-set": {
      if (status === 412 && operation.type !== "deposit") return result({ type: "precondition-failed" });
      if (status !== 200 && status !== 201) return { type: "surprise" };
      const how = reply.record.outcome;
      if (how === undefined || how === "replicas-changed") return { type: "surprise" };
      return result({ type: "deposited", how });
    }
    case "delete":
      if (status === 204) return result({ type: "deleted" });
      return status === 404 ? result({ type: "missing" }) : { type: "surprise" };
    case "retrieve": {
      if (status === 404) return result({ type: "missing" });
      const value = status === 200 ? valueOf(reply.bytes) : undefined;
      return value === undefined ? { type: "surprise" } : result({ type: "found", value });
    }
  }
}

function result(of: FileResult): Learned {
  return { type: "result", result: of };
}

/** Whether the connection was refused or never made, so that the node never heard of the request. */
export function wasNotSent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ECONNREFUSED" || code === "UND_ERR_CONNECT_TIMEOUT";
}

/** The bytes that stand for a value: small for most, beyond one block for some, so that both ways of storing are met. */
export function bytesOf(value: string): Buffer {
  const digest = createHash("sha256").update(value).digest();
  const isLarge = (digest[0] ?? 0) < 26;
  return Buffer.from(`${value}\n`.repeat(isLarge ? 20_000 : 1 + (digest[1] ?? 0)));
}

/** The value these bytes stand for; undefined when they are of none. */
function valueOf(bytes: Buffer): string | undefined {
  const value = bytes.toString("utf8", 0, bytes.indexOf("\n"));
  return bytes.equals(bytesOf(value)) ? value : undefined;
}
