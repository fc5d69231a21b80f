import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type * as campaign from "../test/campaign/main.ts";
import { freezeTree } from "./frozen-tree.ts";
import { plantedBugs, runPlanted } from "./planted-bugs.ts";

// npm run campaign: real clusters, faults over faults, and a judge of everything they acknowledged.
//
//   freeze a copy of the source → rounds of faults and audits (test/campaign/) → table → exit code 1 if a promise was broken

const usage = `npm run campaign -- --minutes M [--nodes 3|5] [--seed S] [--round-seconds R] [--json FILE]
npm run campaign -- --failover N
npm run campaign -- --pauses N
npm run campaign -- --planted all

Real processes are killed, paused, cut off, slowed down, filled up and damaged while clients work; every answer is judged.
  --minutes M         how long; 10 if left out
  --nodes 3|5         the size of the cluster; three and five in turn if left out
  --seed S            draws the faults: kinds, pauses, durations, victims. Real timing still differs from run to run
  --round-seconds R   how long faults strike before everything is healed and read; 150 if left out
  --json FILE         writes the whole table, all overlapping pairs included
  --failover N        instead: kills the leader N times under load, and tells it to stop N times; how long no deposit succeeds
  --pauses N          instead: pauses the leader N times; whether a read through it is stale when it wakes up
  --planted NAME      instead: puts a known bug into a copy of the source, or with "all" one after the other; whether a short
                      campaign finds each
Ctrl-C ends it early, with the audits and the table. Exit code 1: a promise was broken; it says where to look.
`;
const shownLength = 120;
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
    planted: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = values.planted === undefined ? await run() : await planted(values.planted);

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

/** Each planted bug for a few minutes at most; 1 when one was not found. */
async function planted(which: string): Promise<number> {
  const bugs = plantedBugs.filter(({ name }) => which === "all" || name === which);
  if (bugs.length === 0) {
    process.stderr.write(`There are: ${plantedBugs.map(({ name }) => `"${name}"`).join(", ")}, or "all".\n`);
    return 2;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const options = ["--minutes", "6", "--nodes", "3", "--round-seconds", "40", "--seed", values.seed];
  let missed = 0;
  for (const bug of bugs) {
    if (stop.signal.aborted) break;
    const { isFound, seconds, output } = await runPlanted(root, bug, options, stop.signal);
    const [, violation = ""] = /^• (.*)$/m.exec(output) ?? [];
    if (which === "all") {
      const kept = /Kept in (\S+):/.exec(output)?.[1];
      if (kept !== undefined) rmSync(kept, { recursive: true });
    } else process.stdout.write(`${output}\n`);
    process.stdout.write(
      `${isFound ? "found " : "MISSED"}  ${bug.name.padEnd(36)} ${String(Math.round(seconds)).padStart(4)} s  ${violation.slice(0, shownLength)}\n`,
    );
    if (!isFound) missed++;
  }
  return missed === 0 && !stop.signal.aborted ? 0 : 1;
}
