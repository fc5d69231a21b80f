import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type * as campaign from "../test/campaign/main.ts";
import { freezeTree } from "./frozen-tree.ts";

// npm run campaign: real clusters, faults over faults, and a judge of everything they acknowledged.
//
//   freeze a copy of the source → rounds of faults and audits (test/campaign/) → table → exit code 1 if a promise was broken

const usage = `npm run campaign -- --minutes M [--nodes 3|5] [--seed S] [--round-seconds R] [--json FILE]
npm run campaign -- --failover N
npm run campaign -- --pauses N

Real processes are killed, paused, cut off, slowed down, filled up and damaged while clients work; every answer is judged.
  --minutes M         how long; 10 if left out
  --nodes 3|5         the size of the cluster; three and five in turn if left out
  --seed S            draws the faults: kinds, pauses, durations, victims. Real timing still differs from run to run
  --round-seconds R   how long faults strike before everything is healed and read; 150 if left out
  --json FILE         writes the whole table, all overlapping pairs included
  --failover N        instead: kills the leader N times under load, and tells it to stop N times; how long no deposit succeeds
  --pauses N          instead: pauses the leader N times; whether a read through it is stale when it wakes up
Ctrl-C ends it early, with the audits and the table. Exit code 1: a promise was broken; it says where to look.
`;
const root = fileURLToPath(new URL("..", import.meta.url));

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    nodes: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    "round-seconds": { type: "string", default: "150" },
    json: { type: "string" },
    failover: { type: "string" },
    pauses: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = await run();

async function run(): Promise<number> {
  const folder = freezeTree(root);
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const frozen = (await import(pathToFileURL(join(folder, "test", "campaign", "main.ts")).href)) as typeof campaign;
  if (values.failover !== undefined) return await frozen.failover(Number(values.failover));
  if (values.pauses !== undefined) return await frozen.pauses(Number(values.pauses));
  return await frozen.rounds({
    minutes: Number(values.minutes),
    nodes: values.nodes === undefined ? undefined : Number(values.nodes),
    seed: Number(values.seed),
    roundSeconds: Number(values["round-seconds"]),
    json: values.json,
  });
}
