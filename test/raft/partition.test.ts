import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeId } from "../../node/base/ids.ts";
import type { Cluster } from "./cluster.ts";
import { ledCluster } from "./led.ts";
import { electionTimeoutMs, heartbeatMs, n1, n2, n3, n4, n5 } from "./support.ts";

// Networks that are cut in part. Writes go on wherever a majority can reach somebody, while the fault stays.

const writesMs = 20 * electionTimeoutMs;

/** Proposes to whoever leads, every 20 ms, and says how long the longest time without a commit was. */
function longestGapMs(cluster: Cluster, ms: number): number {
  let [longest, sinceMs, committed] = [0, cluster.nowMs, 0];
  for (const endMs = cluster.nowMs + ms; cluster.nowMs < endMs; ) {
    if (cluster.leader !== undefined) cluster.propose(cluster.leader.id, `at ${cluster.nowMs}`);
    cluster.run(20);
    const now = Math.max(...cluster.running.map(({ alive }) => alive.status().commitIndex));
    if (now > committed) sinceMs = cluster.nowMs;
    committed = now;
    longest = Math.max(longest, cluster.nowMs - sinceMs);
  }
  return longest;
}

function terms(cluster: Cluster): number[] {
  return [...cluster.nodes.keys()].map((id) => cluster.at(id).alive.status().term);
}

test("Partition: the leader is cut off from one node that another still reaches: it stays, in its term, and writes succeed", () => {
  const cluster = ledCluster();
  cluster.cut(n1, n2);
  assert.ok(longestGapMs(cluster, writesMs) <= heartbeatMs);
  assert.deepEqual([cluster.leader?.id, terms(cluster)], [n1, [1, 1, 1]]);
});

test("Partition: the old leader reaches the others only over a bridge: it stops, they elect one, and writes succeed", () => {
  const cluster = ledCluster({ voters: 5 });
  // n1, n2 │ n3 │ n4, n5: n3 hears both sides, they do not hear each other. n1 and n2 are still three with it.
  for (const one of [n1, n2]) for (const other of [n4, n5]) cluster.cut(one, other);
  assert.ok(longestGapMs(cluster, writesMs) <= heartbeatMs);
  assert.equal(cluster.leader?.id, n1);
  // Now n1 hears n3 alone, which is no majority; all others still reach each other.
  cluster.cut(n1, n2);
  cluster.heal();
  for (const other of [n2, n4, n5]) cluster.cut(n1, other);
  assert.ok(longestGapMs(cluster, writesMs) <= 4 * electionTimeoutMs);
  const leader = cluster.leader?.id;
  assert.ok(leader !== undefined && leader !== n1);
  const settled = cluster.leader?.alive.status().term;
  assert.ok(longestGapMs(cluster, writesMs) <= heartbeatMs, "and it is left alone");
  assert.equal(cluster.leader?.alive.status().term, settled);
});

test("Partition: everybody hears only one node, and it becomes the leader", () => {
  const cluster = ledCluster({ voters: 5 });
  const spokes = [n1, n2, n4, n5];
  for (const one of spokes) cluster.cut(one, ...spokes.filter((other) => other !== one));
  assert.ok(longestGapMs(cluster, writesMs) <= 6 * electionTimeoutMs);
  assert.equal(cluster.leader?.id, n3);
});

test("Partition: a leader that is heard but hears nobody stops, so that the others can elect one", () => {
  const cluster = ledCluster();
  for (const other of [n2, n3]) cluster.cutOneWay(other, n1);
  assert.ok(longestGapMs(cluster, writesMs) <= 4 * electionTimeoutMs);
  assert.ok([n2, n3].includes(cluster.leader?.id ?? n1));
});

test("Partition: a leader that hears everybody but is not heard is superseded", () => {
  const cluster = ledCluster();
  for (const other of [n2, n3]) cluster.cutOneWay(n1, other);
  assert.ok(longestGapMs(cluster, writesMs) <= 4 * electionTimeoutMs);
  assert.ok([n2, n3].includes(cluster.leader?.id ?? n1));
  assert.equal(cluster.at(n1).alive.status().leader, cluster.leader?.id);
});

test("Partition: a node that hears nobody, but is heard, disturbs nobody", () => {
  const cluster = ledCluster();
  for (const other of [n1, n2]) cluster.cutOneWay(other, n3);
  assert.ok(longestGapMs(cluster, writesMs) <= heartbeatMs);
  assert.deepEqual([cluster.leader?.id, terms(cluster)], [n1, [1, 1, 1]]);
});

test("Partition: the minority commits nothing and confirms no read, the majority goes on, and all agree afterwards", () => {
  const cluster = ledCluster({ voters: 5 });
  const majority: readonly NodeId[] = [n3, n4, n5];
  for (const one of [n1, n2]) cluster.cut(one, ...majority);
  cluster.propose(n1, "never");
  const position = cluster.read(n1);
  assert.ok(longestGapMs(cluster, writesMs) <= 4 * electionTimeoutMs);
  assert.deepEqual([cluster.at(n1).confirmedReads, cluster.at(n1).refusedReads], [[], [position]]);
  cluster.heal();
  cluster.run(4 * electionTimeoutMs);
  assert.deepEqual(new Set(cluster.running.map(({ id }) => cluster.logOf(id).join())).size, 1);
  assert.ok(cluster.logOf(n1).every((text) => !text.endsWith(":never")));
});

test("Partition: nodes that return, one after the other and all at once, find the term unchanged", () => {
  const cluster = ledCluster({ voters: 5 });
  for (const away of [[n2], [n4, n5], [n5, n2]]) {
    for (const id of away) cluster.cut(id);
    cluster.run(10 * electionTimeoutMs);
    cluster.heal();
    cluster.run(2 * electionTimeoutMs);
    assert.deepEqual([cluster.leader?.id, terms(cluster)], [n1, [1, 1, 1, 1, 1]]);
  }
});
