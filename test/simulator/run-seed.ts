import { drawPlan, type PlanWishes } from "./plan.ts";
import { playScenario } from "./scenario.ts";
import type { Violation } from "./violation.ts";
import { World } from "./world.ts";

/** What became of one seed. */
export interface SeedReport {
  readonly seed: number;
  readonly violation: Violation | undefined;
  /** Equal for two runs of one seed, or something draws lots of its own. */
  readonly traceHash: string;
  readonly trace: readonly string[];
  readonly steps: number;
  readonly simulatedMs: number;
  readonly coverage: Iterable<readonly [string, number]>;
}

/** Plays one seed from its beginning to its end, or to its first violation. */
export async function runSeed(
  seed: number,
  wishes: PlanWishes = {},
  options: { readonly keepsTrace: boolean } = { keepsTrace: false },
): Promise<SeedReport> {
  const world = new World(drawPlan(seed, wishes), options);
  await world.run(playScenario(world));
  world.end();
  for (const { disk } of world.nodes) for (const [event, times] of disk.events.all()) world.coverage.disk(event, times);
  return {
    seed,
    violation: world.violation,
    traceHash: world.trace.hash,
    trace: world.trace.lines,
    steps: world.steps,
    simulatedMs: world.timeline.nowMs,
    coverage: world.coverage.entries(),
  };
}
