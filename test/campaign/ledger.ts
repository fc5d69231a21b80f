import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { wasNotSent } from "../linearizability/recorder.ts";
import type { ApiClient, Reply } from "../support/api-client.ts";
import { between, pick, type Random, type Range } from "../support/seeded-random.ts";
import { sha256Of } from "../support/sha256.ts";

/** What may stand under a name. */
export type Standing =
  | { readonly type: "present"; readonly sha256: string; readonly replicas: number }
  | { readonly type: "absent" };

/** One name of the ledger. Only one writer changes it, one request after the other. */
export interface LedgerEntry {
  readonly name: string;
  /** One: what was acknowledged. More: an answer was lost, and any of them may stand. */
  possible: readonly Standing[];
  /** It was changed after its deposit, or that was tried. */
  isEdited: boolean;
  /** Nobody may change or remove it any more. */
  isSpared: boolean;
}

export interface LedgerTotals {
  acknowledged: number;
  unknown: number;
}

/** Sizes and how often: most within one block, some over several, a few of more than one chunk. */
const sizes: readonly { readonly share: number; readonly bytes: Range }[] = [
  { share: 0.85, bytes: { from: 0, to: 6000 } },
  { share: 0.98, bytes: { from: 60_000, to: 140_000 } },
  { share: 1, bytes: { from: 1_000_000, to: 1_100_000 } },
];
const pauseMs: Range = { from: 100, to: 400 };
const limitMs = 4000;
const counts = [1, 2, 3];

const absent: Standing = { type: "absent" };

/**
 * Everything that one cluster acknowledged, kept for its whole life: fresh names with 1 to 3 replicas, some of which are
 * recounted or removed later, and what others `adopt`. It is what the audit holds against every node.
 */
export class Ledger {
  readonly entries = new Map<string, LedgerEntry>();
  readonly totals: LedgerTotals = { acknowledged: 0, unknown: 0 };
  /** Answers that the contract does not allow, in words. */
  readonly surprises: string[] = [];
  #writers = 0;

  /** Names that stand with two replicas or more as they were deposited: all their replicas are there to stay. */
  unchanged(): readonly { readonly name: string; readonly sha256: string }[] {
    return [...this.entries.values()].flatMap((entry) => {
      const standing = definite(entry);
      if (entry.isEdited || standing?.type !== "present" || standing.replicas < 2) return [];
      return [{ name: entry.name, sha256: standing.sha256 }];
    });
  }

  /** Lets nobody change or remove this name again. */
  spare(name: string): void {
    const entry = this.entries.get(name);
    if (entry !== undefined) entry.isSpared = true;
  }

  /** Takes over a name that others wrote, now that nobody does any more. */
  adopt(name: string, standing: Standing): void {
    this.entries.set(name, { name, possible: [standing], isEdited: true, isSpared: true });
  }

  /** Writers that deposit, recount and remove through any node, until `end`. */
  async write(options: {
    readonly client: ApiClient;
    readonly writers: number;
    readonly nodes: () => readonly string[];
    readonly random: Random;
    readonly end: AbortSignal;
  }): Promise<void> {
    const turns = Array.from({ length: options.writers }, async () => {
      const writer = this.#writers++;
      const own: LedgerEntry[] = [];
      for (let turn = 0; !options.end.aborted; turn++) {
        const change = this.#choose(`kept/${writer}/${turn}`, own, options.random);
        await this.#carryOut(change, options);
        await delay(between(pauseMs, options.random));
      }
    });
    await Promise.all(turns);
  }

  #choose(name: string, own: LedgerEntry[], random: Random): Change {
    const chance = random();
    const changeable = own.filter((entry) => !entry.isSpared && definite(entry)?.type === "present");
    if (chance < 0.25 && changeable.length > 0) {
      const entry = pick(changeable, random);
      entry.isEdited = true;
      const standing = definite(entry);
      if (chance < 0.1) return { entry, after: absent, bytes: undefined };
      if (standing?.type === "present") {
        const replicas = pick(
          counts.filter((count) => count !== standing.replicas),
          random,
        );
        return { entry, after: { ...standing, replicas }, bytes: undefined };
      }
    }
    const bytes = randomBytes(newSize(random));
    const entry: LedgerEntry = { name, possible: [absent], isEdited: false, isSpared: false };
    this.entries.set(name, entry);
    own.push(entry);
    return { entry, after: { type: "present", sha256: sha256Of(bytes), replicas: pick(counts, random) }, bytes };
  }

  /** Asks for one change, again after a lost answer half of the time; then what may stand is noted. */
  async #carryOut(
    change: Change,
    { client, nodes, random }: { client: ApiClient; nodes: () => readonly string[]; random: Random },
  ): Promise<void> {
    const { entry, after, bytes } = change;
    const before = entry.possible;
    // While it is under way either may stand, whoever looks at the entry meanwhile.
    entry.possible = [...before, after];
    let mayHaveHappened = false;
    for (let attempt = 0; attempt < 3; attempt++) {
      const effect = await this.#attempt(client, pick(nodes(), random), change, mayHaveHappened);
      if (effect === "done") {
        entry.possible = [after];
        this.totals.acknowledged++;
        return;
      }
      mayHaveHappened ||= effect === "unknown";
      if (random() < 0.5) break;
    }
    if (mayHaveHappened) this.totals.unknown++;
    else if (bytes === undefined) entry.possible = before;
    else this.entries.delete(entry.name);
  }

  async #attempt(client: ApiClient, node: string, change: Change, isRetry: boolean): Promise<Effect> {
    let reply: Reply;
    try {
      reply = await send(client, node, change);
    } catch (error) {
      return wasNotSent(error) ? "none" : "unknown";
    }
    const effect = effectOf(reply, change, isRetry);
    if (effect !== undefined) return effect;
    this.surprises.push(
      `${change.bytes === undefined ? change.after.type : "deposit"} of ${change.entry.name} through ${node}: ` +
        `${reply.status} ${reply.bytes.toString("utf8", 0, 300)}`,
    );
    return "unknown";
  }
}

interface Change {
  readonly entry: LedgerEntry;
  readonly after: Standing;
  /** Undefined: it needs none. */
  readonly bytes: Buffer | undefined;
}

type Effect = "done" | "none" | "unknown";

/** What is known to stand; undefined while more than one thing may. */
export function definite(entry: LedgerEntry): Standing | undefined {
  return entry.possible.length === 1 ? entry.possible[0] : undefined;
}

function send(client: ApiClient, node: string, { entry, after, bytes }: Change): Promise<Reply> {
  if (after.type === "absent") return client.remove(node, entry.name, { limitMs });
  if (bytes === undefined) return client.edit(node, entry.name, { replicas: after.replicas }, { limitMs });
  return client.deposit(node, entry.name, bytes, { replicas: after.replicas, digest: true, limitMs });
}

/** What an answer says; undefined when the contract does not allow it here. */
function effectOf(reply: Reply, { after, bytes }: Change, isRetry: boolean): Effect | undefined {
  const { status } = reply;
  if (status === 429 || status === 507) return "none";
  if (status === 503) return reply.slug === "not-enough-nodes" ? "none" : "unknown";
  if (status === 408) return "unknown";
  // The attempt whose answer was lost may have removed it.
  if (after.type === "absent") return status === 204 || (status === 404 && isRetry) ? "done" : undefined;
  if (status !== 200 && status !== 201) return undefined;
  const { record } = reply;
  if (record.sha256 !== after.sha256 || record.replicas !== after.replicas) return undefined;
  if (bytes === undefined) return "done";
  const present = record.placement.filter(({ state }) => state === "present").length;
  const isDurable = present >= Math.floor(after.replicas / 2) + 1 || isRetry;
  return isDurable && (record.outcome === "created" || isRetry) ? "done" : undefined;
}

function newSize(random: Random): number {
  const chance = random();
  const { bytes } = sizes.find(({ share }) => chance < share) ?? { bytes: { from: 0, to: 0 } };
  return Math.round(between(bytes, random));
}
