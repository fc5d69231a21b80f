import { hash } from "node:crypto";
import type { Clock } from "../../node/base/clock.ts";
import type { DepositoError } from "../../node/base/errors.ts";
import type { NodeId } from "../../node/base/ids.ts";
import { parseFileName } from "../../node/catalog/names.ts";
import type { Preconditions } from "../../node/catalog/types.ts";
import type { DepositRequest, Depot } from "../../node/depot/types.ts";
import type { Invocation } from "../linearizability/checker.ts";
import type { FileOperation, FileResult } from "../linearizability/file-model.ts";
import { type Answer, bytesOf, type Credentials, callDoor } from "./client.ts";
import { Lots } from "./lots.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

type Meaning =
  | { readonly type: "result"; readonly result: FileResult }
  | { readonly type: "unknown" }
  | { readonly type: "without-effect" };

/** A client in the process of a door. */
interface Visit {
  readonly depot: Depot;
  readonly clock: Clock;
  readonly lots: Lots;
}

const longestThinkMs = 1500;
const unknown: Meaning = { type: "unknown" };
const noPreconditions: Preconditions = { ifMatch: undefined, ifNoneMatch: undefined };

/** Clients at work, and the history of what each of them did and saw. */
export class Workload {
  readonly history: Invocation[] = [];
  readonly #world: World;
  readonly #credentials: Credentials;
  readonly #names: readonly string[];
  /** Every value that was ever sent, by the digest of its bytes. */
  readonly #values = new Map<string, string>();
  #sent = 0;
  #isOver = false;

  constructor(world: World, credentials: Credentials) {
    this.#world = world;
    this.#credentials = credentials;
    this.#names = Array.from({ length: world.plan.names }, (_, at) => `f${at + 1}`);
  }

  get names(): readonly string[] {
    return this.#names;
  }

  /** Works until `end` is called; resolves when every client has its last answer. */
  async run(): Promise<void> {
    const { plan } = this.#world;
    await Promise.all(Array.from({ length: plan.clients }, (_, at) => this.#client(`c${at + 1}`)));
  }

  end(): void {
    this.#isOver = true;
  }

  /** One operation, recorded; its result, if it was learned. */
  async perform(
    process: string,
    node: NodeId,
    name: string,
    operation: FileOperation,
    lots: Lots,
  ): Promise<FileResult | undefined> {
    const { timeline, trace, coverage } = this.#world;
    const calledAt = timeline.nowMs;
    trace.note("call", process, node, name, operation.type, "value" in operation ? operation.value : "");
    const answer = await callDoor(this.#world, node, (depot, clock) =>
      this.#act({ depot, clock, lots }, name, operation),
    );
    const meaning = this.#meaningOf(answer, operation, node);
    trace.note("answer", process, meaning.type === "result" ? JSON.stringify(meaning.result) : meaning.type);
    const invocation = { process, name, operation, calledAt };
    switch (meaning.type) {
      case "without-effect":
        return undefined;
      case "unknown":
        coverage.count("outcomes unknown");
        this.history.push({ ...invocation, outcome: undefined });
        return undefined;
      case "result":
        this.history.push({ ...invocation, outcome: { returnedAt: timeline.nowMs, result: meaning.result } });
        return meaning.result;
    }
  }

  async #client(process: string): Promise<void> {
    const { plan, timeline, nodes } = this.#world;
    const lots = new Lots(plan.seed, `client ${process}`);
    /** What this client last saw or wrote under each name: what it compares with. */
    const seen = new Map<string, string>();
    const staysWithDoor = lots.happens(0.5);
    let node = lots.pick(nodes).id;
    while (!this.#isOver) {
      await timeline.pause(Math.min(lots.skewed(plan.thinkMs), longestThinkMs));
      const name = lots.pick(this.#names);
      // Who stays with one door stays with a leader that is cut off, too.
      if (!staysWithDoor || lots.happens(0.02)) node = lots.pick(nodes).id;
      if (lots.happens(0.2)) {
        await this.#besides(node, name, lots);
        continue;
      }
      const operation = this.#choose(process, seen.get(name), lots);
      const result = await this.perform(process, node, name, operation, lots);
      if (result?.type === "found") seen.set(name, result.value);
      else if (result?.type === "deposited" && "value" in operation) seen.set(name, operation.value);
    }
  }

  /** Nearly every value is new, so that each read tells which deposit it saw. */
  #choose(process: string, expected: string | undefined, lots: Lots): FileOperation {
    const lot = lots.next();
    this.#sent += 1;
    const value = lots.happens(0.03) ? "" : `${process}-${this.#sent}`;
    if (lot < 0.4) return { type: "retrieve" };
    if (lot < 0.6) return { type: "deposit", value };
    if (lot < 0.7) return { type: "create", value };
    if (lot < 0.8) return { type: "delete" };
    return expected === undefined ? { type: "deposit", value } : { type: "compare-and-set", expected, value };
  }

  /** What the model of a file does not know: it must not fail in a way that the contract does not have. */
  async #besides(node: NodeId, name: string, lots: Lots): Promise<void> {
    const { clientId, secret } = this.#credentials;
    const replicas = this.#drawReplicas(lots);
    const isEdit = lots.happens(0.8);
    const answer = await callDoor<unknown>(this.#world, node, async (depot) => {
      await depot.authenticate(clientId, secret);
      if (!isEdit) return depot.list({ clientId, prefix: "", delimiter: undefined, after: undefined, limit: 100 });
      return depot.edit({
        clientId,
        name: parseFileName(name),
        replicas,
        contentType: undefined,
        preconditions: noPreconditions,
      });
    });
    const expected = ["no-quorum", "file-not-found", "not-enough-nodes", "too-many-requests"];
    if (answer.type === "failed" && !expected.includes(answer.error.code))
      this.#surprise(node, "edit or list", answer.error);
  }

  #drawReplicas(lots: Lots): number {
    const { nodes, minReplicas } = this.#world.plan;
    return minReplicas + lots.int(nodes - minReplicas + 1);
  }

  async #act(at: Visit, name: string, operation: FileOperation): Promise<FileResult> {
    const { clientId, secret } = this.#credentials;
    const fileName = parseFileName(name);
    const { depot } = at;
    await depot.authenticate(clientId, secret);
    switch (operation.type) {
      case "deposit":
        return this.#deposit(at, name, operation.value, noPreconditions);
      case "create":
        return this.#deposit(at, name, operation.value, { ...noPreconditions, ifNoneMatch: { type: "any" } });
      case "compare-and-set": {
        const tag = `"${hash("sha256", bytesOf(operation.expected))}"`;
        const ifMatch = { type: "tags", tags: [tag] } as const;
        return this.#deposit(at, name, operation.value, { ...noPreconditions, ifMatch });
      }
      case "delete":
        await depot.remove(clientId, fileName, noPreconditions);
        return { type: "deleted" };
      case "retrieve":
        return { type: "found", value: await this.#retrieve(at, name) };
    }
  }

  async #deposit(
    { depot, clock, lots }: Visit,
    name: string,
    value: string,
    preconditions: Preconditions,
  ): Promise<FileResult> {
    const { coverage } = this.#world;
    const bytes = bytesOf(value);
    const sha256 = hash("sha256", bytes);
    this.#values.set(sha256, value);
    const request: DepositRequest = {
      clientId: this.#credentials.clientId,
      name: parseFileName(name),
      body: pieces(bytes, clock, lots),
      declaredBytes: lots.happens(0.7) ? bytes.length : undefined,
      declaredSha256: lots.happens(0.5) ? (sha256 as DepositRequest["declaredSha256"]) : undefined,
      contentType: undefined,
      replicas: lots.happens(0.7) ? this.#drawReplicas(lots) : undefined,
      preconditions,
      bodyAwaited: lots.happens(0.2),
      wantBody: () => undefined,
    };
    const { outcome, record } = await depot.deposit(request);
    coverage.count("deposits acknowledged");
    if (bytes.length > 65_536) coverage.count("bytes streamed");
    if (record.blob.sha256 !== sha256)
      throw new Violation("Oracle", `a deposit of ${sha256} answered ${record.blob.sha256}`);
    return { type: "deposited", how: outcome === "replicas-changed" ? "unchanged" : outcome };
  }

  /** The value that stands there, told by the digest; every byte that came is held against it. */
  async #retrieve({ depot, lots }: Visit, name: string): Promise<string> {
    const { record, read } = await depot.retrieve(this.#credentials.clientId, parseFileName(name));
    const value = this.#values.get(record.blob.sha256);
    if (value === undefined) throw new Violation("Oracle", `${name} has bytes that nobody deposited`);
    const whole = bytesOf(value);
    const start = lots.happens(0.3) ? lots.int(whole.length + 1) : 0;
    const end = lots.happens(0.3) ? start + lots.int(whole.length - start + 1) : whole.length;
    let at = start;
    for await (const chunk of read({ start, end }, new AbortController().signal)) {
      if (!whole.subarray(at, at + chunk.length).equals(chunk))
        throw new Violation("Oracle", `wrong bytes of ${name} from ${at} on`);
      at += chunk.length;
    }
    if (at !== end) throw new Violation("Oracle", `${name}: ${at - start} bytes of [${start}, ${end})`);
    return value;
  }

  #meaningOf(answer: Answer<FileResult>, operation: FileOperation, node: NodeId): Meaning {
    switch (answer.type) {
      case "done":
        return { type: "result", result: answer.value };
      case "lost":
        return unknown;
      case "not-sent":
        return { type: "without-effect" };
      case "failed":
        return this.#meaningOfError(answer.error, operation, node);
    }
  }

  #meaningOfError(error: DepositoError, operation: FileOperation, node: NodeId): Meaning {
    const { coverage } = this.#world;
    switch (error.code) {
      case "no-quorum":
        coverage.count("no-quorum (503)");
        return unknown;
      case "not-enough-nodes":
        coverage.count("not-enough-nodes (503)");
        return operation.type === "delete" ? this.#surprise(node, operation.type, error) : { type: "without-effect" };
      case "not-enough-space":
        coverage.count("not-enough-space (507)");
        return { type: "without-effect" };
      case "too-many-requests":
        return { type: "without-effect" };
      case "precondition-failed":
        coverage.count("preconditions failed");
        return { type: "result", result: { type: "precondition-failed" } };
      case "file-not-found":
        return { type: "result", result: { type: "missing" } };
      default:
        return this.#surprise(node, operation.type, error);
    }
  }

  #surprise(node: NodeId, what: string, error: DepositoError): Meaning {
    this.#world.fail(
      new Violation("Contract", `${what} through ${node} was answered ${error.code}: ${error.message}`, {
        cause: error,
      }),
    );
    return unknown;
  }
}

/** A body as it comes in: in a few pieces, sometimes slowly. */
async function* pieces(bytes: Buffer, clock: Clock, lots: Lots): AsyncGenerator<Uint8Array> {
  const isSlow = lots.happens(0.1);
  const pieceBytes = lots.pick([1 << 12, 1 << 16, 1 << 20]);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    if (isSlow) await new Promise<void>((resolve) => clock.after(lots.skewed(10), resolve));
    yield bytes.subarray(at, at + pieceBytes);
  }
}
