import assert from "node:assert/strict";
import { test } from "node:test";
import { runCampaign } from "../linearizability/campaign.ts";
import { checkHistory, type Invocation } from "../linearizability/checker.ts";
import { startCluster } from "../support/cluster.ts";

const durationMs = Number(process.env["DEPOSITO_TEST_CAMPAIGN_MS"] ?? 20_000);
const seed = Number(process.env["DEPOSITO_TEST_SEED"] ?? Date.now() % 1_000_000);

test("Linearizability: files stay linearizable while nodes are killed, paused and cut off", async (t) => {
  const cluster = await startCluster(t, { nodes: 3, proxied: true });
  const report = await runCampaign({ cluster, durationMs, names: ["a", "b", "c/d", "é f"], clients: 8, seed });

  const counts = (of: ReadonlyMap<string, number>) => [...of].map(([name, count]) => `${count} × ${name}`).join(", ");
  t.diagnostic(`seed ${seed}: ${report.history.length} operations: ${counts(report.operations)}`);
  t.diagnostic(`${report.unknown} with unknown outcome, ${report.withoutEffect} without effect besides`);
  t.diagnostic(`faults: ${counts(report.faults)}`);

  assert.deepEqual(report.surprises, [], "answers that the contract does not allow");
  const verdict = checkHistory(report.history);
  t.diagnostic(`checked in ${verdict.steps} steps: ${verdict.type}`);
  if (verdict.type === "violation") {
    const last = verdict.placed.slice(-10).map(describe).join("\n  ");
    assert.fail(`${verdict.name}: after\n  ${last}\nnone of these fits\n  ${verdict.stuck.map(describe).join("\n  ")}`);
  }
  assert.equal(verdict.type, "linearizable");
  // A campaign in which nearly nothing happened would prove nearly nothing.
  assert.ok(report.history.length - report.unknown > durationMs / 400, "too few operations were answered");
  assert.ok(report.faults.size >= 2, "too few kinds of faults struck");
});

function describe({ process, operation, outcome, calledAt }: Invocation): string {
  const value = "value" in operation ? ` ${operation.value}` : "";
  const returned =
    outcome === undefined ? "unknown" : `${outcome.returnedAt.toFixed(1)} ${JSON.stringify(outcome.result)}`;
  return `${process} ${calledAt.toFixed(1)} ${operation.type}${value} → ${returned}`;
}
