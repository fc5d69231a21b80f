import { setTimeout as delay } from "node:timers/promises";
import type { Invocation } from "../linearizability/checker.ts";
import { runClients } from "../linearizability/clients.ts";
import { NamePool } from "../linearizability/name-pool.ts";
import { bytesOf, Recorder } from "../linearizability/recorder.ts";
import type { ApiClient, RecordBody } from "../support/api-client.ts";
import { pick, seededRandom } from "../support/seeded-random.ts";
import { sha256Of } from "../support/sha256.ts";
import type { Arena } from "./arena.ts";
import type { Coverage } from "./coverage.ts";
import { auditDisks } from "./disk-audit.ts";
import { allFaults } from "./faults.ts";
import { supervise, type UnaskedEnd } from "./grips.ts";
import { waitHealed } from "./heal.ts";
import { auditHistory } from "./history-audit.ts";
import type { Standing } from "./ledger.ts";
import { auditReads, auditRecords } from "./read-audit.ts";
import { drawPlan } from "./schedule.ts";
import { storm } from "./storm.ts";
import { emptyTally, type RoundTally } from "./tally.ts";
import type { Violation } from "./violation.ts";

export interface RoundOptions {
  readonly arena: Arena;
  /** Another one for each round of a cluster: goes into names and bytes. */
  readonly tag: string;
  readonly seed: number;
  /** How long faults strike; the audits come after. With 0 there is nothing but a start and the audits. */
  readonly durationMs: number;
  readonly coverage: Coverage;
  /** Ends the faults early; the audits are done all the same. */
  readonly stop: AbortSignal;
  readonly progress: (phase: Phase, tally: RoundTally) => void;
}

export type Phase = "starting" | "faults" | "healing" | "reading" | "looking at disks" | "checking";

export interface RoundReport {
  readonly violations: readonly Violation[];
  readonly tally: RoundTally;
  readonly history: readonly Invocation[];
}

const clients = 6;
const writers = 3;
const operationLimitMs = 3000;
const namesInUse = 4;
const maxOperationsPerName = 400;
const maxUnknownPerName = 12;
/** What a file has that was deposited without a count. */
const defaultReplicas = 2;
const finalReaders = 8;
const finalAttempts = 10;
const finalRetryMs = 1000;
const progressEveryMs = 1000;

/**
 * One round on a cluster: start, hurt, heal, judge, stop.
 *
 *   clients on few names ──► history ──► checker
 *   writers ──► ledger ──► every name from every node, records, disks      what was acknowledged is read in all later rounds too
 *   faults, overlapping ──► all undone ──► whole again in time?
 */
export async function runRound(options: RoundOptions): Promise<RoundReport> {
  const round = new Round(options);
  const supervision = new AbortController();
  const supervised = supervise(options.arena.grips, (end) => round.judgeEnd(end), supervision.signal);
  try {
    await round.start();
    if (options.durationMs > 0) await round.hurt();
    await round.heal();
    await round.audit();
    supervision.abort();
    await supervised;
    await round.stop();
  } catch (error) {
    round.violate("not healed", String(error));
  } finally {
    supervision.abort();
    await supervised;
  }
  return round.report();
}

class Round {
  readonly #options: RoundOptions;
  readonly #violations: Violation[] = [];
  readonly #tally: RoundTally = emptyTally();
  readonly #names: NamePool;
  #client: ApiClient | undefined;
  #recorder: Recorder | undefined;
  #records: readonly RecordBody[] = [];

  constructor(options: RoundOptions) {
    this.#options = options;
    this.#names = new NamePool({
      prefix: `shared/${options.tag}`,
      width: namesInUse,
      maxOperations: maxOperationsPerName,
      maxUnknown: maxUnknownPerName,
    });
  }

  violate(kind: Violation["kind"], text: string): void {
    this.#violations.push({ kind, text });
  }

  judgeEnd(end: UnaskedEnd): void {
    if (!this.#options.arena.field.rules.allows(end)) this.violate("ended", end.text);
  }

  async start(): Promise<void> {
    this.#say("starting");
    const { arena } = this.#options;
    await arena.field.cluster.start();
    this.#client = await arena.client();
    this.#recorder = new Recorder(this.#client, operationLimitMs);
  }

  /** Clients, writers and faults, for as long as the round shall last; every fault is undone at the end. */
  async hurt(): Promise<void> {
    const { arena, tag, seed, durationMs, coverage, stop } = this.#options;
    const { field } = arena;
    const { ledger } = field;
    const [client, recorder] = this.#started();
    const end = AbortSignal.any([AbortSignal.timeout(Math.round(durationMs)), stop]);
    const possible = allFaults.filter((fault) => fault.suits(field));
    const before = { acknowledged: ledger.totals.acknowledged, surprises: ledger.surprises.length };
    const telling = setInterval(() => this.#say("faults"), progressEveryMs);
    try {
      const busy = await Promise.allSettled([
        storm(field, drawPlan(seed, possible), coverage, {
          end,
          failed: (fault, error) => this.violate("not healed", `${fault}: ${String(error)}`),
        }),
        runClients({ recorder, names: this.#names, tag, count: clients, nodes: () => this.#nodes, seed, end }),
        ledger.write({ client, writers, nodes: () => this.#nodes, random: seededRandom(seed), end }),
      ]);
      // What fails here is the campaign itself: no node can make it fail.
      for (const each of busy) if (each.status === "rejected") throw each.reason;
    } finally {
      clearInterval(telling);
    }
    this.#tally.acknowledged = ledger.totals.acknowledged - before.acknowledged;
    for (const text of ledger.surprises.slice(before.surprises)) this.violate("surprise", text);
  }

  async heal(): Promise<void> {
    this.#say("healing");
    await waitHealed(this.#options.arena.field);
  }

  /** Reads every name there is, from every node. */
  async audit(): Promise<void> {
    this.#say("reading");
    const [client] = this.#started();
    const { ledger } = this.#options.arena.field;
    await this.#readSharedNames();
    const audit = await auditReads(client, this.#nodes, ledger);
    this.#violations.push(...audit.violations);
    this.#tally.auditReads = audit.reads;
    // Reading brought damage to light, since a node reads its own replica first; that is mended now.
    const listed = await auditRecords(client, this.#nodes, ledger);
    this.#violations.push(...listed.violations);
    this.#records = listed.records;
  }

  /** Ends the nodes in order, and looks at what they leave. */
  async stop(): Promise<void> {
    this.#say("looking at disks");
    const { field } = this.#options.arena;
    await Promise.all(
      field.cluster.members.map(async (member) => {
        const { code } = await member.stop();
        if (code !== 0)
          this.violate("ended", `${member.id} was told to stop, and ended with ${code}: ${member.stderr}`);
      }),
    );
    const { violations, ...found } = auditDisks(field.cluster.members, this.#records);
    this.#violations.push(...violations);
    Object.assign(this.#tally, found);
    field.rules.audited();
    field.membership.settled();
  }

  report(): RoundReport {
    this.#say("checking");
    const { grips, logs } = this.#options.arena;
    for (const text of this.#recorder?.surprises ?? []) this.violate("surprise", text);
    const history = this.#recorder?.history ?? [];
    const said = logs.read(grips.map(({ member }) => member));
    const judged = auditHistory(history);
    this.#violations.push(...said.violations, ...judged.violations);
    const tally: RoundTally = {
      ...this.#tally,
      ...this.#soFar(),
      elections: said.elections,
      decided: judged.decided,
      undecided: judged.undecided,
    };
    return { violations: this.#violations, tally, history };
  }

  /** The last word of the history on each name; what it says stands in the ledger from now on. */
  async #readSharedNames(): Promise<void> {
    const [, recorder] = this.#started();
    const random = seededRandom(this.#options.seed);
    const waiting = [...this.#names.all];
    const read = async () => {
      for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
        const standing = await this.#readLast(recorder, name, () => pick(this.#nodes, random));
        if (standing === undefined) this.violate("not healed", `${name} cannot be read`);
        else this.#options.arena.field.ledger.adopt(name, standing);
      }
    };
    await Promise.all(Array.from({ length: finalReaders }, read));
  }

  async #readLast(recorder: Recorder, name: string, node: () => string): Promise<Standing | undefined> {
    for (let attempt = 0; attempt < finalAttempts; attempt++) {
      const learned = await recorder.perform("final", node(), name, { type: "retrieve" });
      if (learned.type !== "result") await delay(finalRetryMs);
      else if (learned.result.type !== "found") return { type: "absent" };
      else return { type: "present", sha256: sha256Of(bytesOf(learned.result.value)), replicas: defaultReplicas };
    }
    return undefined;
  }

  get #nodes(): readonly string[] {
    return this.#options.arena.field.membership.doors;
  }

  #started(): readonly [ApiClient, Recorder] {
    if (this.#client === undefined || this.#recorder === undefined) throw new Error("the round has not started");
    return [this.#client, this.#recorder];
  }

  #soFar(): Pick<RoundTally, "operations" | "unknown" | "withoutEffect"> {
    const history = this.#recorder?.history ?? [];
    return {
      operations: history.length,
      unknown: history.filter(({ outcome }) => outcome === undefined).length,
      withoutEffect: this.#recorder?.withoutEffect ?? 0,
    };
  }

  #say(phase: Phase): void {
    this.#options.progress(phase, { ...this.#tally, ...this.#soFar() });
  }
}
