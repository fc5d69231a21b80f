import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient, Reply } from "../support/api-client.ts";
import type { Cluster } from "../support/cluster.ts";
import type { Invocation } from "./checker.ts";
import { pick, seededRandom, strikeUntil } from "./faults.ts";
import type { FileOperation, FileResult } from "./file-model.ts";

/**
 * Clients on a few names through all nodes of a real cluster, while its nodes are killed, paused and cut off; what they did
 * and saw is the history that the checker judges.
 *
 *   clients ──any operation──► any node         faults ──one at a time──► nodes, network
 *       └── call, return, result ──► history ──► checkHistory
 */
export interface CampaignOptions {
  readonly cluster: Cluster;
  readonly durationMs: number;
  readonly names: readonly string[];
  readonly clients: number;
  readonly seed: number;
}

export interface CampaignReport {
  readonly history: readonly Invocation[];
  /** By operation, of those in the history. */
  readonly operations: ReadonlyMap<string, number>;
  /** Their outcome was not learned. */
  readonly unknown: number;
  /** Refused or not even sent: certainly without effect, so not in the history. */
  readonly withoutEffect: number;
  readonly faults: ReadonlyMap<string, number>;
  /** Answers that the contract does not allow, in words. */
  readonly surprises: readonly string[];
}

const requestLimitMs = 4000;
/** After a node did not answer: else a client would do nothing but find it gone. */
const refusedPauseMs = 50;
const finalLimitMs = 30_000;

/** Runs for `durationMs`, then heals everything and reads each name once more through each node. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { cluster, names, seed } = options;
  const random = seededRandom(seed);
  const end = AbortSignal.timeout(options.durationMs);
  const client = await cluster.registerClient();
  const recorder = new Recorder(client);

  const [faults] = await Promise.all([
    strikeUntil(cluster, end, random),
    ...Array.from({ length: options.clients }, (_, index) =>
      work(recorder, `c${index}`, { cluster, names, end, random: seededRandom(seed + 1 + index) }),
    ),
  ]);
  await cluster.waitReady(cluster.members, finalLimitMs);
  for (const name of names) {
    for (const { id } of cluster.members) await recorder.perform("final", id, name, { type: "retrieve" });
  }
  return recorder.report(faults);
}

/** One client: one operation after the other, each on any name through any node. */
async function work(
  recorder: Recorder,
  process: string,
  at: {
    readonly cluster: Cluster;
    readonly names: readonly string[];
    readonly end: AbortSignal;
    readonly random: () => number;
  },
): Promise<void> {
  /** What this client last saw or wrote under each name: what it compares with. */
  const seen = new Map<string, string>();
  for (let count = 0; !at.end.aborted; count++) {
    const name = pick(at.names, at.random);
    const node = pick(at.cluster.members, at.random).id;
    const operation = chooseOperation(`${process}-${count}`, seen.get(name), at.random);
    const result = await recorder.perform(process, node, name, operation);
    if (result === undefined) await delay(refusedPauseMs);
    else if (result.type === "found") seen.set(name, result.value);
    else if (result.type === "deposited" && "value" in operation) seen.set(name, operation.value);
  }
}

/** Every value is new, so that each read tells which deposit it saw. */
function chooseOperation(value: string, expected: string | undefined, random: () => number): FileOperation {
  const chance = random();
  if (chance < 0.4) return { type: "retrieve" };
  if (chance < 0.6) return { type: "deposit", value };
  if (chance < 0.7) return { type: "create", value };
  if (chance < 0.8) return { type: "delete" };
  return expected === undefined ? { type: "deposit", value } : { type: "compare-and-set", expected, value };
}

/** Performs operations through the API and keeps the history. */
class Recorder {
  readonly #client: ApiClient;
  readonly #history: Invocation[] = [];
  readonly #surprises: string[] = [];
  #withoutEffect = 0;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** The result; undefined when it was not learned, or there was none. */
  async perform(
    process: string,
    node: string,
    name: string,
    operation: FileOperation,
  ): Promise<FileResult | undefined> {
    const calledAt = performance.now();
    const meaning = await this.#ask(node, name, operation);
    const invocation = { process, name, operation, calledAt };
    switch (meaning.type) {
      case "without-effect":
        this.#withoutEffect++;
        return undefined;
      case "unknown":
        this.#history.push({ ...invocation, outcome: undefined });
        return undefined;
      case "result":
        this.#history.push({ ...invocation, outcome: { returnedAt: performance.now(), result: meaning.result } });
        return meaning.result;
    }
  }

  async #ask(node: string, name: string, operation: FileOperation): Promise<Meaning> {
    let reply: Reply;
    try {
      reply = await this.#send(node, name, operation);
    } catch (error) {
      return { type: wasNotSent(error) ? "without-effect" : "unknown" };
    }
    const meaning = interpret(reply, operation);
    if (meaning.type === "surprise") {
      this.#surprises.push(
        `${operation.type} through ${node}: ${reply.status} ${reply.bytes.toString("utf8", 0, 300)}`,
      );
      return { type: "unknown" };
    }
    return meaning;
  }

  #send(node: string, name: string, operation: FileOperation): Promise<Reply> {
    const limit = { limitMs: requestLimitMs };
    switch (operation.type) {
      case "deposit":
        return this.#client.deposit(node, name, bytesOf(operation.value), limit);
      case "create":
        return this.#client.deposit(node, name, bytesOf(operation.value), { ...limit, ifNoneMatch: "*" });
      case "compare-and-set":
        return this.#client.deposit(node, name, bytesOf(operation.value), {
          ...limit,
          ifMatch: `"${createHash("sha256").update(bytesOf(operation.expected)).digest("hex")}"`,
        });
      case "delete":
        return this.#client.remove(node, name, limit);
      case "retrieve":
        return this.#client.retrieve(node, name, limit);
    }
  }

  report(faults: ReadonlyMap<string, number>): CampaignReport {
    const byType = Map.groupBy(this.#history, ({ operation }) => operation.type);
    return {
      history: this.#history,
      operations: new Map([...byType].map(([type, list]) => [type, list.length])),
      unknown: this.#history.filter(({ outcome }) => outcome === undefined).length,
      withoutEffect: this.#withoutEffect,
      faults,
      surprises: this.#surprises,
    };
  }
}

type Meaning =
  | { readonly type: "result"; readonly result: FileResult }
  | { readonly type: "unknown" }
  | { readonly type: "without-effect" };

/** What an answer says of the file; a surprise is one that the contract does not allow here. */
function interpret(reply: Reply, operation: FileOperation): Meaning | { readonly type: "surprise" } {
  const { status } = reply;
  if (status === 503) return { type: "unknown" };
  if (status === 429) return { type: "without-effect" };
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

function result(of: FileResult): Meaning {
  return { type: "result", result: of };
}

/** Whether the connection was refused or never made. */
function wasNotSent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ECONNREFUSED" || code === "UND_ERR_CONNECT_TIMEOUT";
}

/** The bytes that stand for a value: small for most, beyond one block for some, so that both ways of storing are met. */
function bytesOf(value: string): Buffer {
  const digest = createHash("sha256").update(value).digest();
  const isLarge = (digest[0] ?? 0) < 26;
  return Buffer.from(`${value}\n`.repeat(isLarge ? 20_000 : 1 + (digest[1] ?? 0)));
}

/** The value these bytes stand for; undefined when they are of none. */
function valueOf(bytes: Buffer): string | undefined {
  const value = bytes.toString("utf8", 0, bytes.indexOf("\n"));
  return bytes.equals(bytesOf(value)) ? value : undefined;
}
