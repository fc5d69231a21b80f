import { parseArgs } from "node:util";
import { type CampaignReport, runCampaign, shrink } from "../test/simulator/campaign.ts";
import { hunt, maxSeeds } from "../test/simulator/mutants/hunt.ts";
import { mutants } from "../test/simulator/mutants/mutants.ts";
import type { PlanWishes } from "../test/simulator/plan.ts";
import { runSeed } from "../test/simulator/run-seed.ts";

// Plays whole clusters in virtual time, one for each seed, while faults strike (test/simulator/).

const usage = `npm run simulate [-- [--seeds N] [--from S] [--minutes M] [--nodes 3|5] [--seed S [--trace]]]

  --seeds N     so many seeds, one after the other; 200 if left out
  --from S      the first of them; 1 if left out
  --minutes M   no seed is begun after M minutes; without --seeds, as many as there is time for
  --nodes N     clusters of N nodes; else each seed draws it
  --seed S      this one seed, and its trace hash: the same in every run
  --trace       prints everything that happens in it
  --mutants     plants known bugs in the production code, one after the other, and says which check finds each
  --mutant M    only those whose name has M in it
  --without F   leaves the fault F out, as the shrinking of a failed seed found; may be given more than once
  --duration T  faults strike for T virtual milliseconds; else each seed draws it
`;

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    from: { type: "string", default: "1" },
    minutes: { type: "string" },
    nodes: { type: "string" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    without: { type: "string", multiple: true, default: [] },
    duration: { type: "string" },
    mutants: { type: "boolean", default: false },
    mutant: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

const wishes: PlanWishes = {
  nodes: values.nodes === undefined ? undefined : Number(values.nodes),
  durationMs: values.duration === undefined ? undefined : Number(values.duration),
  without: values.without,
};

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One seed, in full. */
async function playOne(seed: number): Promise<boolean> {
  const report = await runSeed(seed, wishes, { keepsTrace: values.trace });
  for (const line of report.trace) say(line);
  const { violation, traceHash, steps, simulatedMs } = report;
  say(`seed ${seed}: ${(simulatedMs / 1000).toFixed(1)} s simulated in ${steps} steps, trace ${traceHash}`);
  if (violation !== undefined) {
    say(`✖ ${violation.message}`);
    if (violation.cause instanceof Error) say(String(violation.cause.stack));
  }
  return violation === undefined;
}

async function playMany(): Promise<boolean> {
  const maxMs = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes) * 60_000;
  const count =
    values.seeds === undefined && values.minutes !== undefined ? Number.POSITIVE_INFINITY : Number(values.seeds ?? 200);
  const report = await runCampaign({
    seeds: seedsFrom(Number(values.from), count),
    wishes,
    maxMs,
    onSeed: ({ seed, violation }) => {
      if (violation !== undefined) say(`✖ seed ${seed}: ${violation.message}`);
    },
  });
  for (const line of linesOf(report)) say(line);
  for (const failed of report.failed.slice(0, 3)) {
    const smaller = await shrink(failed, wishes);
    const without = (smaller.without ?? []).map((name) => ` --without "${name}"`).join("");
    const duration = smaller.durationMs === undefined ? "" : ` --duration ${smaller.durationMs}`;
    say(
      `\nreplay: npm run simulate -- --seed ${failed.seed}${wishes.nodes === undefined ? "" : ` --nodes ${wishes.nodes}`}`,
    );
    say(`the least of it: npm run simulate -- --seed ${failed.seed}${duration}${without} --trace`);
  }
  return report.failed.length === 0;
}

function* seedsFrom(first: number, count: number): Generator<number> {
  for (let seed = first; seed < first + count; seed += 1) yield seed;
}

function linesOf({ seeds, failed, steps, simulatedMs, cpuMs, coverage }: CampaignReport): readonly string[] {
  return [
    ...coverage.report(),
    "",
    `${seeds} seeds, ${failed.length} failed; ${(simulatedMs / 3_600_000).toFixed(2)} hours simulated in ` +
      `${(cpuMs / 1000).toFixed(1)} s of CPU: ${(simulatedMs / cpuMs).toFixed(0)} × real time, ` +
      `${Math.round((steps / cpuMs) * 1000)} steps/s, ${(cpuMs / Math.max(1, seeds)).toFixed(0)} ms a seed`,
  ];
}

/** Every planted bug, and what found it. */
async function playMutants(): Promise<boolean> {
  const wanted = mutants.filter(({ name }) => values.mutant === undefined || name.includes(values.mutant));
  let survived = 0;
  for (const mutant of wanted) {
    const caught = await hunt(mutant);
    if (caught === undefined) survived += 1;
    const how = caught === undefined ? "SURVIVED" : `seed ${String(caught.seed).padStart(3)}  ${caught.check}`;
    say(`${mutant.name.padEnd(70)} ${how}`);
    if (caught !== undefined && values.mutant !== undefined) say(caught.message);
  }
  say(`\n${wanted.length} mutants, ${survived} survived ${maxSeeds} seeds`);
  return survived === 0;
}

async function main(): Promise<boolean> {
  if (values.mutants || values.mutant !== undefined) return playMutants();
  return values.seed === undefined ? playMany() : playOne(Number(values.seed));
}

if (values.help) process.stdout.write(usage);
else process.exitCode = (await main()) ? 0 : 1;
