import assert from "node:assert/strict";
import { test } from "node:test";
import { allFaults } from "./faults.ts";
import { drawPlan } from "./schedule.ts";

/** The first faults of a plan, with all that is drawn for them. */
function drawn(seed: number) {
  const plan = drawPlan(seed, allFaults);
  const faults = Array.from({ length: 50 }, () => {
    const { fault, random, ...others } = plan.next();
    return { name: fault.name, chances: [random(), random()], ...others };
  });
  return { maxAtOnce: plan.maxAtOnce, faults };
}

test("Schedule: a seed draws the same faults, pauses, durations and chances each time", () => {
  assert.deepEqual(drawn(7), drawn(7));
  assert.notDeepEqual(drawn(7), drawn(8));
});

test("Schedule: what a fault draws when it strikes does not change what comes after", () => {
  const plan = drawPlan(3, allFaults);
  for (let strike = 0; strike < 100; strike++) plan.next().random();
  assert.deepEqual({ ...plan.next(), random: 0 }, { ...fastForward(3, 100), random: 0 });
});

function fastForward(seed: number, count: number) {
  const plan = drawPlan(seed, allFaults);
  for (let strike = 0; strike < count; strike++) plan.next();
  return plan.next();
}

test("Schedule: every kind of fault has its round", () => {
  const struck = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const plan = drawPlan(seed * 1000, allFaults);
    for (let strike = 0; strike < 20; strike++) struck.add(plan.next().fault.name);
  }
  assert.deepEqual([...struck].sort(), allFaults.map(({ name }) => name).sort());
});
