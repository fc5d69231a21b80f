import { Lots } from "../lots.ts";
import type { World } from "../world.ts";
import { faultsByName } from "./all.ts";
import type { FaultName } from "./fault.ts";

const mostAtOnce = 3;

/** Strikes again and again until `endMs`, several faults at once; each is undone after a while, all of them at the end. */
export async function strikeUntil(world: World, endMs: number): Promise<void> {
  const { plan, timeline } = world;
  /** Each kind has lots of its own, so that taking one away leaves the others as they were. */
  await Promise.all(plan.faults.map((name) => strikeAgainAndAgain(world, name, endMs)));
  await timeline.pause(Math.max(0, endMs - timeline.nowMs));
}

async function strikeAgainAndAgain(world: World, name: FaultName, endMs: number): Promise<void> {
  const { plan, timeline, trace, coverage } = world;
  const lots = new Lots(plan.seed, `fault ${name}`);
  for (;;) {
    const waitMs = lots.skewed(plan.faultEveryMs * Math.sqrt(plan.faults.length));
    if (timeline.nowMs + waitMs >= endMs) return;
    await timeline.pause(waitMs);
    const lastsMs = lots.skewed(plan.faultLastsMs);
    if (world.faultsUnderWay >= mostAtOnce) continue;
    const undo = faultsByName[name].strike(world, lots);
    if (undo === undefined) continue;
    trace.note("fault", name);
    coverage.fault(name);
    world.faultsUnderWay += 1;
    await timeline.pause(Math.min(lastsMs, Math.max(0, endMs - timeline.nowMs)));
    trace.note("healed", name);
    world.faultsUnderWay -= 1;
    undo();
  }
}
