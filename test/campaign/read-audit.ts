import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient, RecordBody } from "../support/api-client.ts";
import { sha256Of } from "../support/sha256.ts";
import { definite, type Ledger, type LedgerEntry, type Standing } from "./ledger.ts";
import type { Violation } from "./violation.ts";

const readers = 12;
const attempts = 8;
const retryMs = 1000;
const readLimitMs = 10_000;
const mendLimitMs = 30_000;
const pageRecords = 1000;

/** What the audit of one cluster saw. */
export interface ReadAudit {
  readonly violations: readonly Violation[];
  readonly reads: number;
}

/**
 * Reads every name of the ledger through every node of a cluster that is whole again, and holds the bytes against what was
 * acknowledged. Where an answer had been lost, the first node decides what happened, and the others must agree.
 */
export async function auditReads(client: ApiClient, nodes: readonly string[], ledger: Ledger): Promise<ReadAudit> {
  const violations: Violation[] = [];
  for (const node of nodes) {
    const waiting = [...ledger.entries.values()];
    const read = async () => {
      for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
        const found = await readStanding(client, node, entry);
        if (found.violation !== undefined) violations.push(found.violation);
        else entry.possible = found.possible;
      }
    };
    await Promise.all(Array.from({ length: readers }, read));
  }
  return { violations, reads: nodes.length * ledger.entries.size };
}

/** What all nodes list, and what is wrong with it. */
export interface RecordAudit {
  readonly violations: readonly Violation[];
  readonly records: readonly RecordBody[];
}

/**
 * Holds the records that each node lists against the ledger and against each other; replicas that are being mended get their
 * time.
 */
export async function auditRecords(client: ApiClient, nodes: readonly string[], ledger: Ledger): Promise<RecordAudit> {
  const giveUpAt = performance.now() + mendLimitMs;
  for (;;) {
    const audit = await auditRecordsOnce(client, nodes, ledger);
    const isMending = audit.violations.some(({ kind }) => kind === "replicas");
    if (!isMending || performance.now() > giveUpAt) return audit;
    await delay(retryMs);
  }
}

async function auditRecordsOnce(client: ApiClient, nodes: readonly string[], ledger: Ledger): Promise<RecordAudit> {
  const violations: Violation[] = [];
  const lists = await Promise.all(nodes.map((node) => recordsOf(client, node)));
  const [records = []] = lists;
  for (const [place, list] of lists.entries())
    if (JSON.stringify(list) !== JSON.stringify(records))
      violations.push({ kind: "lost", text: `${nodes[0]} and ${nodes[place]} list different records` });
  return { violations: [...violations, ...compare(ledger, records)], records };
}

type Found =
  | { readonly possible: readonly Standing[]; readonly violation?: undefined }
  | { readonly violation: Violation };

/** What of the possible a node shows; it is asked again only while it does not answer, never after a wrong answer. */
async function readStanding(client: ApiClient, node: string, entry: LedgerEntry): Promise<Found> {
  let answer = "";
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (attempt > 0) await delay(retryMs);
    try {
      const reply = await client.retrieve(node, entry.name, { limitMs: readLimitMs });
      answer = `${reply.status} ${reply.slug ?? ""}`;
      if (reply.status === 503 || reply.status === 429) continue;
      const sha256 = reply.status === 200 ? sha256Of(reply.bytes) : undefined;
      const possible = entry.possible.filter((standing) => shows(standing, reply.status, sha256));
      if (possible.length > 0) return { possible };
      return {
        violation: {
          kind: "lost",
          text: `${entry.name} from ${node}: ${answer}${text(sha256)}, but ${expected(entry)}`,
        },
      };
    } catch (error) {
      answer = String(error);
    }
  }
  return { violation: { kind: "not healed", text: `${entry.name} cannot be read from ${node}: ${answer}` } };
}

function shows(standing: Standing, status: number, sha256: string | undefined): boolean {
  return standing.type === "absent" ? status === 404 : sha256 === standing.sha256;
}

function expected({ possible }: LedgerEntry): string {
  return possible
    .map((standing) =>
      standing.type === "absent" ? "nothing stands there" : `it has the digest${text(standing.sha256)}`,
    )
    .join(" or ");
}

function text(sha256: string | undefined): string {
  return sha256 === undefined ? "" : ` ${sha256.slice(0, 12)}…`;
}

/** Every record, in name order. */
async function recordsOf(client: ApiClient, node: string): Promise<readonly RecordBody[]> {
  const records: RecordBody[] = [];
  for (let after: string | null | undefined; after !== null; ) {
    const reply = await client.list(node, { limit: pageRecords, ...(after === undefined ? {} : { after }) });
    if (reply.status !== 200) throw new Error(`${node} does not list: ${reply.status} ${reply.bytes.toString()}`);
    const page = reply.json() as { readonly records: readonly RecordBody[]; readonly next: string | null };
    records.push(...page.records);
    after = page.next;
  }
  return records;
}

/** Holds the records against the ledger: the names, the counts, and a present replica for each that is wanted. */
function compare(ledger: Ledger, records: readonly RecordBody[]): readonly Violation[] {
  const violations: Violation[] = [];
  const byName = new Map(records.map((record) => [record.name, record]));
  for (const entry of ledger.entries.values()) {
    const record = byName.get(entry.name);
    entry.possible = entry.possible.filter((standing) =>
      standing.type === "absent"
        ? record === undefined
        : record?.sha256 === standing.sha256 && record.replicas === standing.replicas,
    );
    if (definite(entry) === undefined)
      violations.push({ kind: "lost", text: `the record of ${entry.name} is ${JSON.stringify(record)}` });
    byName.delete(entry.name);
  }
  for (const name of byName.keys())
    violations.push({ kind: "lost", text: `${name} is listed, and nobody deposited it` });
  for (const { name, replicas, placement } of records) {
    const present = placement.filter(({ state }) => state === "present").length;
    if (present !== replicas || placement.length !== replicas)
      violations.push({ kind: "replicas", text: `${name} wants ${replicas}: ${JSON.stringify(placement)}` });
  }
  return violations;
}
