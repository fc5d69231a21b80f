import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { logIndex, type NodeId, term } from "../../node/base/ids.ts";
import { createMetrics, type Metrics } from "../../node/base/metrics.ts";
import type { RaftStatus, Role } from "../../node/raft/types.ts";
import { createReplicationMetrics } from "../../node/replication/metrics.ts";

const [n1, n2, n3] = ["n1", "n2", "n3"] as [NodeId, NodeId, NodeId];
const status: RaftStatus = {
  role: "leader",
  term: term(3),
  leader: n1,
  commitIndex: logIndex(90),
  applied: logIndex(80),
  last: { index: logIndex(100), term: term(3) },
  configuration: { voters: [n1, n2, n3], outgoing: [], learners: [], learnersNext: [] },
  lostPromises: false,
  progress: new Map([
    [n2, { matchIndex: logIndex(95), state: "replicate" as const, isActive: true }],
    [n3, { matchIndex: logIndex(7), state: "snapshot" as const, isActive: true }],
  ]),
};

function counting(raft: () => RaftStatus = () => status) {
  const registry = createMetrics();
  const metrics = createReplicationMetrics(registry, {
    raft,
    proposals: () => ({ count: 2, sizeBytes: 300 }),
    waitingReads: () => 4,
    unwritten: () => ({ count: 5, sizeBytes: 600 }),
    unapplied: () => ({ count: 7, sizeBytes: 800 }),
  });
  return { registry, metrics };
}

/** The value of one line of what `/metrics` answers. */
async function valueOf(registry: Metrics, line: string): Promise<number | undefined> {
  const found = (await registry.metrics()).split("\n").find((each) => each.startsWith(`${line} `));
  return found === undefined ? undefined : Number(found.slice(line.length + 1));
}

test("Metrics: the leader tells what it knows of each follower, any other node of none", async () => {
  let now = status;
  const { registry } = counting(() => now);
  assert.equal(await valueOf(registry, 'deposito_raft_peer_match_index{peer="n2"}'), 95);
  assert.equal(await valueOf(registry, 'deposito_raft_peer_lag_entries{peer="n3"}'), 93);
  assert.equal(await valueOf(registry, 'deposito_raft_peer_state{peer="n3",state="snapshot"}'), 1);
  assert.equal(await valueOf(registry, 'deposito_raft_peer_state{peer="n3",state="probe"}'), 0);
  assert.equal(await valueOf(registry, "deposito_raft_is_leader"), 1);
  now = { ...status, role: "follower", leader: n2, lostPromises: true, progress: new Map() };
  const text = await registry.metrics();
  assert.doesNotMatch(text, /^deposito_raft_peer_\w+\{/m);
  assert.match(text, /^deposito_raft_role\{role="follower"\} 1$/m);
  assert.match(text, /^deposito_raft_is_leader 0$/m);
  assert.match(text, /^deposito_raft_lost_promises 1$/m);
});

test("Metrics: queues are shown with their numbers and bytes, as they stand", async () => {
  const { registry } = counting();
  const names = ["proposals_pending", "log_unwritten_entries", "log_unwritten_bytes", "apply_queue_entries"];
  const values = await Promise.all(names.map((name) => valueOf(registry, `deposito_${name}`)));
  assert.deepEqual(values, [2, 5, 600, 7]);
  assert.equal(await valueOf(registry, "deposito_proposals_pending_bytes"), 300);
  assert.equal(await valueOf(registry, "deposito_reads_waiting"), 4);
  assert.equal(await valueOf(registry, "deposito_apply_queue_bytes"), 800);
});

test("Metrics: elections are counted once each, whichever of their steps are seen", async () => {
  const { registry, metrics } = counting();
  const changes: readonly (readonly [Role, number, NodeId | undefined])[] = [
    ["follower", 1, n2],
    ["pre-candidate", 1, undefined], // asks only
    ["candidate", 2, undefined],
    ["candidate", 3, undefined],
    ["leader", 3, n1],
    ["follower", 3, undefined],
    ["leader", 4, n1], // won within one step: the same leader again
    ["follower", 5, n3],
  ];
  for (const [role, ofTerm, leader] of changes) metrics.leadershipChanged({ role, term: term(ofTerm), leader });
  assert.equal(await valueOf(registry, "deposito_raft_elections_started_total"), 3);
  assert.equal(await valueOf(registry, "deposito_raft_elections_won_total"), 2);
  assert.equal(await valueOf(registry, "deposito_raft_leader_changes_total"), 3);
});

test("Metrics: snapshots are counted on both sides, failed transfers too", async () => {
  const { registry, metrics } = counting();
  const rows = [{ key: Buffer.alloc(10), value: Buffer.alloc(90) }];
  const chunk = { session: "s", applied: logIndex(1), rows };
  metrics.snapshotChunkSent({ ...chunk, last: false });
  metrics.snapshotChunkSent({ ...chunk, last: true });
  metrics.snapshotReceived({ result: "failed", sizeBytes: 50, durationMs: 100 });
  metrics.snapshotReceived({ result: "complete", sizeBytes: 200, durationMs: 2000 });
  metrics.snapshotInstalled();
  assert.equal(await valueOf(registry, "deposito_snapshots_sent_total"), 1);
  assert.equal(await valueOf(registry, "deposito_snapshot_sent_bytes_total"), 200);
  assert.equal(await valueOf(registry, 'deposito_snapshots_received_total{result="failed"}'), 1);
  assert.equal(await valueOf(registry, "deposito_snapshot_received_bytes_total"), 250);
  assert.equal(await valueOf(registry, "deposito_snapshot_receive_seconds_sum"), 2);
  assert.equal(await valueOf(registry, "deposito_snapshots_installed_total"), 1);
});

test("Metrics: writes of log and catalog are timed in seconds and counted in entries", async () => {
  const { registry, metrics } = counting();
  metrics.logSynced(4, 3);
  metrics.applied(8, 5);
  assert.equal(await valueOf(registry, "deposito_log_sync_seconds_sum"), 0.004);
  assert.equal(await valueOf(registry, "deposito_log_sync_entries_sum"), 3);
  assert.equal(await valueOf(registry, "deposito_apply_seconds_sum"), 0.008);
  assert.equal(await valueOf(registry, "deposito_apply_entries_sum"), 5);
});

test("Metrics: the operator's manual explains every one of them", async () => {
  const manual = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const { registry } = counting();
  const names = (await registry.getMetricsAsJSON()).map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) => !manual.includes(`\`${name}\``)),
    [],
  );
});
