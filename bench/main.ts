/**
 * `npm run bench`: what three nodes on this machine reach, beside what the machine itself can do, in one run.
 *
 *   raw limits ─► cluster ─► deposits and retrievals ─► cluster with batching off ─► its deposits ─► table, JSON
 *
 * Machines are shared and drift: only ratios within one run mean anything.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { basic, registerClient } from "../scripts/cluster-api.ts";
import { Cluster } from "../test/support/cluster.ts";
import { deposits, retrievals, type Scenario, type Target } from "./load.ts";
import { measureRawLimits } from "./raw-limits.ts";
import { type Report, type Result, ratiosText, rawLimitsText, resultsText } from "./report.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "8" }, json: { type: "string" }, folder: { type: "string" } },
});
const seconds = Number(values.seconds);
const folder = mkdtempSync(join(values.folder ?? tmpdir(), "deposito-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const sizes = [1024, 64 * 1024];
const connectionCounts = [1, 64];
const largeBytes = 256 << 20;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

say("Raw limits of this machine …");
mkdirSync(join(folder, "raw"));
const raw = await measureRawLimits(join(folder, "raw"), Math.min(3, seconds));
say(rawLimitsText(raw));
say(`Three nodes, 3 replicas, every copy synced; ${seconds} s each …`);
const results = [...(await measure(true)), ...(await measure(false))];
const [processor] = cpus();
const report: Report = {
  node: process.version,
  processor: processor?.model ?? "unknown",
  cores: cpus().length,
  raw,
  results,
};
say(ratiosText(report));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);

/** All scenarios with batching; without it only the one that it is compared by. */
async function measure(batching: boolean): Promise<Result[]> {
  const cluster = await Cluster.create({
    config: { raft: {}, limits: {}, defaultReplicas: 3 },
    environment: { DEPOSITO_BATCHING: batching ? "on" : "off", DEPOSITO_LOG_LEVEL: "warn" },
  });
  try {
    await cluster.start();
    const target = await targetOf(cluster);
    const results: Result[] = [];
    for (const scenario of batching ? scenarios() : [{ sizeBytes: 1024, connections: 64, seconds }]) {
      const prefix = `${scenario.sizeBytes}-${scenario.connections}`;
      const deposited = await deposits(target, scenario, prefix);
      results.push({ what: "deposit", batching, ...scenario, ...deposited });
      say(resultsText(results.slice(-1)));
      if (!batching) continue;
      const retrieved = await retrievals(target, scenario, prefix, deposited.operations);
      results.push({ what: "retrieve", batching, ...scenario, ...retrieved });
      say(resultsText(results.slice(-1)));
    }
    return results;
  } finally {
    await cluster.close();
  }
}

function scenarios(): Scenario[] {
  const small = sizes.flatMap((sizeBytes) =>
    connectionCounts.map((connections) => ({ sizeBytes, connections, seconds })),
  );
  return [...small, { sizeBytes: largeBytes, connections: 1, seconds }];
}

async function targetOf(cluster: Cluster): Promise<Target> {
  const [first] = cluster.members;
  if (first === undefined) throw new Error("a cluster without nodes");
  const authorization = basic(await registerClient(first.api, {}));
  return { urls: cluster.members.map(({ api }) => api), authorization };
}
