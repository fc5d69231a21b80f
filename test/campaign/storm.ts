import { setTimeout as delay } from "node:timers/promises";
import type { Coverage } from "./coverage.ts";
import type { Field } from "./field.ts";
import type { Plan, PlannedFault } from "./schedule.ts";

export interface StormOptions {
  readonly end: AbortSignal;
  /** A node did not do what the fault asks of any node, such as to end when it is told to. */
  readonly failed: (fault: string, error: unknown) => void;
}

/** Lets the planned faults strike, one over the other, until `end`; resolves once all of them are undone. */
export async function storm(
  field: Field,
  plan: Plan,
  coverage: Coverage,
  { end, failed }: StormOptions,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  while (!end.aborted) {
    const planned = plan.next();
    await rest(planned.waitMs, end);
    while (underWay.size >= plan.maxAtOnce) await Promise.race(underWay);
    if (end.aborted) break;
    const running: Promise<void> = carryOut(field, planned, coverage, end)
      .catch((error: unknown) => failed(planned.fault.name, error))
      .finally(() => underWay.delete(running));
    underWay.add(running);
  }
  await Promise.all(underWay);
}

async function carryOut(
  field: Field,
  { fault, lastsMs, random }: PlannedFault,
  coverage: Coverage,
  end: AbortSignal,
): Promise<void> {
  const beganMs = performance.now();
  const undo = await fault.strike(field, random, end);
  if (undo === undefined) {
    coverage.forbidden(fault.name);
    return;
  }
  const ended = coverage.began(fault.name, beganMs);
  await rest(lastsMs, end);
  await undo();
  ended(performance.now());
}

/** Resolves early at the end. */
async function rest(ms: number, end: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: end }).catch((error: unknown) => {
    if (!end.aborted) throw error;
  });
}
