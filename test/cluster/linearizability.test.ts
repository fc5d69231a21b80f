import assert from "node:assert/strict";
import { test } from "node:test";
import { openArena } from "../campaign/arena.ts";
import { Coverage } from "../campaign/coverage.ts";
import { allFaults } from "../campaign/faults.ts";
import { roundText } from "../campaign/report.ts";
import { runRound } from "../campaign/round.ts";

const seed = Number(process.env["DEPOSITO_TEST_SEED"] ?? Date.now() % 1_000_000);
const durationMs = 20_000;

test("Linearizability: files stay linearizable, and all that was acknowledged stays, under faults over faults", async (t) => {
  t.diagnostic(`seed ${seed}`);
  const arena = await openArena(3);
  t.after(() => arena.close("remove"));
  const coverage = new Coverage(allFaults.map(({ name }) => name));
  const { violations, tally } = await runRound({
    arena,
    tag: "r1",
    seed,
    durationMs,
    coverage,
    stop: t.signal,
    progress: () => undefined,
  });
  for (const line of roundText(coverage, tally)) t.diagnostic(line);
  if (violations.length > 0) process.stderr.write(`${arena.field.cluster.describe()}\n`);
  assert.deepEqual(violations, []);
  // A round in which nearly nothing happened would prove nearly nothing.
  assert.ok(tally.operations - tally.unknown > durationMs / 400, "too few operations were answered");
  assert.ok(coverage.count >= 5, "too few faults struck");
});
