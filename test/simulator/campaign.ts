import { Coverage } from "./coverage.ts";
import { faultNames } from "./faults/fault.ts";
import type { PlanWishes } from "./plan.ts";
import { runSeed, type SeedReport } from "./run-seed.ts";

/** Which seeds to play, and for how long at most. */
export interface CampaignOptions {
  readonly seeds: Iterable<number>;
  readonly wishes: PlanWishes;
  /** No seed is begun after so much real time. */
  readonly maxMs: number;
  readonly onSeed?: (report: SeedReport) => void;
}

/** What many seeds came to. */
export interface CampaignReport {
  readonly seeds: number;
  readonly failed: readonly SeedReport[];
  readonly steps: number;
  readonly simulatedMs: number;
  /** Of this process's CPU, as real time also counts what else the machine does. */
  readonly cpuMs: number;
  readonly coverage: Coverage;
}

/** Plays one seed after the other. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const coverage = new Coverage();
  const failed: SeedReport[] = [];
  const beganMs = performance.now();
  const began = process.cpuUsage();
  let [seeds, steps, simulatedMs] = [0, 0, 0];
  for (const seed of options.seeds) {
    if (performance.now() - beganMs > options.maxMs) break;
    const report = await runSeed(seed, options.wishes);
    seeds += 1;
    steps += report.steps;
    simulatedMs += report.simulatedMs;
    coverage.add(report.coverage);
    if (report.violation !== undefined) failed.push(report);
    options.onSeed?.(report);
  }
  const { user, system } = process.cpuUsage(began);
  return { seeds, failed, steps, simulatedMs, cpuMs: (user + system) / 1000, coverage };
}

/**
 * The fewest faults, and the shortest time, with which the seed still fails with the same check; found by leaving one out
 * after the other.
 */
export async function shrink(report: SeedReport, wishes: PlanWishes): Promise<PlanWishes> {
  const check = report.violation?.check;
  const fails = async (tried: PlanWishes) => (await runSeed(report.seed, tried)).violation?.check === check;
  let best = wishes;
  for (const name of [...faultNames, ...networkFaults]) {
    const without = [...(best.without ?? []), name];
    if (await fails({ ...best, without })) best = { ...best, without };
  }
  for (let durationMs = 16_000; durationMs >= 500; durationMs /= 2)
    if (await fails({ ...best, durationMs })) best = { ...best, durationMs };
  return best;
}

/** What the network does besides its cuts; like faults, they can be left out. */
const networkFaults = ["frame loss", "frame duplication", "frame reordering", "call breaks"] as const;
