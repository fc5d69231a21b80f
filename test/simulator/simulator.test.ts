import assert from "node:assert/strict";
import { test } from "node:test";
import { runCampaign } from "./campaign.ts";
import { runSeed } from "./run-seed.ts";
import { regressions } from "./seeds.ts";

test("Simulator: a seed replays bit for bit", async () => {
  for (const seed of [3, 7, 11]) {
    const first = await runSeed(seed);
    const second = await runSeed(seed, {}, { keepsTrace: true });
    assert.equal(second.traceHash, first.traceHash, `seed ${seed}`);
    assert.equal(second.steps, first.steps);
  }
});

test("Simulator: another seed is another story", async () => {
  const [one, other] = [await runSeed(1), await runSeed(2)];
  assert.notEqual(one.traceHash, other.traceHash);
});

test("Simulator: no seed violates anything", async () => {
  const seeds = Array.from({ length: 100 }, (_, at) => at + 1);
  const { failed } = await runCampaign({ seeds, wishes: {}, maxMs: 60_000 });
  assert.deepEqual(
    failed.map(({ seed, violation }) => `${seed}: ${violation?.message}`),
    [],
  );
});

for (const { seed, why, nodes } of regressions)
  test(`Simulator: seed ${seed} stays mended: ${why}`, async () => {
    const { violation } = await runSeed(seed, { nodes });
    assert.equal(violation, undefined);
  });
