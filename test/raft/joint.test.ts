import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeId } from "../../node/base/ids.ts";
import type { Cluster } from "./cluster.ts";
import { ledCluster } from "./led.ts";
import {
  configurationEntry,
  configurationOf,
  electionTimeoutMs,
  heartbeatMs,
  n1,
  n2,
  n3,
  n4,
  n5,
  node,
  Solo,
} from "./support.ts";

// A joint change at every stage, and what becomes of it when its leader is lost there (§6). n3 is to be replaced by n4:
// index 1 is the leader's own entry, 2 the joint configuration, 3 the final one.

const before = configurationOf({ voters: [n1, n2, n3], learners: [n4] });
const joint = configurationOf({ voters: [n1, n2, n4], outgoing: [n1, n2, n3] });
const final = configurationOf({ voters: [n1, n2, n4] });
const n6 = node(6);

/** Entries from `index` on reach only these nodes. */
function reachOnly(cluster: Cluster, index: number, ...nodes: NodeId[]): void {
  cluster.filter = ({ to, message }) =>
    message.type !== "append-request" || nodes.includes(to) || message.entries.every((entry) => entry.index < index);
}

/** n1 is lost for good, and the others find another leader; they may take some time. */
function lose(cluster: Cluster, id: NodeId): void {
  cluster.crash(id);
  cluster.heal();
  cluster.runUntil(() => cluster.leader !== undefined && cluster.leader.id !== id, 40 * electionTimeoutMs);
  cluster.run(10 * heartbeatMs);
}

function assertEverywhere(cluster: Cluster, expected: typeof final, nodes: readonly NodeId[]): void {
  for (const id of nodes) {
    assert.deepEqual(cluster.configurationAt(id), expected, id);
    const { commitIndex, last } = cluster.at(id).alive.status();
    assert.equal(commitIndex, last.index, `${id} has committed all`);
  }
}

test("Joint: an entry that reached nobody is rolled back with its leader, and the change can be asked for anew", () => {
  const cluster = ledCluster({ configuration: before });
  reachOnly(cluster, 2);
  cluster.change(n1, [n1, n2, n4]);
  cluster.run(heartbeatMs);
  assert.deepEqual(cluster.configurationAt(n1), joint);
  lose(cluster, n1);
  assertEverywhere(cluster, before, [n2, n3, n4]);
  cluster.restart(n1);
  cluster.run(electionTimeoutMs);
  assertEverywhere(cluster, before, [n1, n2, n3, n4]);
  assert.equal(cluster.change(cluster.leader?.id ?? n1, [n1, n2, n4]), undefined);
  cluster.run(3 * heartbeatMs);
  assertEverywhere(cluster, final, [n1, n2, n4]);
});

test("Joint: an entry that its leader left uncommitted is finished by the next leader that holds it", () => {
  const cluster = ledCluster({ configuration: before });
  reachOnly(cluster, 2, n4);
  cluster.change(n1, [n1, n2, n4]);
  cluster.run(heartbeatMs);
  assert.equal(cluster.at(n1).alive.status().commitIndex, 1, "a majority of the new voters is not enough");
  lose(cluster, n1);
  assert.equal(cluster.leader?.id, n4, "nobody else has the longest log");
  assertEverywhere(cluster, final, [n2, n4]);
});

test("Joint: a committed entry whose final one reached nobody is finished by the next leader", () => {
  const cluster = ledCluster({ configuration: before });
  reachOnly(cluster, 3);
  cluster.change(n1, [n1, n2, n4]);
  cluster.run(heartbeatMs);
  assert.deepEqual([cluster.at(n1).alive.status().commitIndex, cluster.configurationAt(n1)], [2, final]);
  assert.deepEqual(cluster.configurationAt(n2), joint);
  lose(cluster, n1);
  assertEverywhere(cluster, final, [n2, n4]);
  cluster.restart(n1);
  cluster.run(electionTimeoutMs);
  assertEverywhere(cluster, final, [n1, n2, n4]);
});

test("Joint: a final entry that is not committed counts for whoever holds it, and is finished by it", () => {
  const cluster = ledCluster({ configuration: before });
  reachOnly(cluster, 3, n4);
  cluster.heldDisks.add(n4);
  cluster.change(n1, [n1, n2, n4]);
  cluster.settle();
  cluster.heldDisks.clear();
  cluster.filter = ({ to, message }) => to === n4 || message.type !== "append-request";
  cluster.at(n4).sync();
  cluster.settle();
  cluster.crash(n1);
  cluster.crash(n3);
  cluster.heal();
  cluster.runUntil(() => cluster.leader !== undefined, 40 * electionTimeoutMs);
  cluster.run(10 * heartbeatMs);
  assert.equal(cluster.leader?.id, n4);
  assertEverywhere(cluster, final, [n2, n4]);
});

test("Joint: a node that the final entry takes the vote from stands for election while it is the only one left that holds it", () => {
  const cluster = ledCluster({ configuration: before });
  // n3, which is leaving, is the only one the final entry reaches.
  reachOnly(cluster, 3, n3);
  cluster.change(n1, [n1, n2, n4]);
  cluster.run(heartbeatMs);
  assert.deepEqual(
    [n1, n2, n3, n4].map((id) => cluster.at(id).alive.status().last.index),
    [3, 2, 3, 2],
  );
  // Neither n2 nor n4 can win against n3's longer log; a majority of each side lives, so the group must go on.
  cluster.crash(n1);
  cluster.heal();
  cluster.runUntil(() => cluster.leader !== undefined, 40 * electionTimeoutMs);
  cluster.run(10 * heartbeatMs);
  assert.ok(
    cluster.sent.some(({ from, message }) => from === n3 && message.type === "append-request"),
    "n3 led just long enough",
  );
  assert.notEqual(cluster.leader?.id, n3);
  assertEverywhere(cluster, final, [n2, n4]);
});

test("Joint: it needs a majority of both for an election, a commit, a read, and to stay leader (CheckQuorum)", () => {
  // n1 leads; n2 and n3 go, n4 and n5 come.
  const both = { configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4, n5] }) };
  for (const [lost, kept] of [
    [n2, n3],
    [n4, n5],
  ]) {
    assert.ok(lost !== undefined && kept !== undefined);
    const cluster = ledCluster(both);
    // The joint entry reaches everybody, but nothing is acknowledged.
    cluster.filter = ({ message }) => message.type !== "append-response";
    cluster.change(n1, [n1, n4, n5]);
    cluster.settle();
    const answers = cluster.at(n1).confirmedReads.length;
    cluster.filter = ({ from, to }) => ![lost, kept].includes(from) && ![lost, kept].includes(to);
    cluster.read(n1);
    cluster.run(heartbeatMs);
    assert.equal(cluster.at(n1).alive.status().commitIndex, 1, "no commit");
    assert.equal(cluster.at(n1).confirmedReads.length, answers, "no read");
    cluster.run(electionTimeoutMs);
    assert.notEqual(cluster.at(n1).alive.status().role, "leader", "no leader");
    cluster.run(10 * electionTimeoutMs);
    assert.equal(cluster.leader, undefined, "no election");
    cluster.filter = ({ from, to }) => from !== lost && to !== lost;
    cluster.runUntil(() => cluster.leader !== undefined, 40 * electionTimeoutMs);
    cluster.run(10 * heartbeatMs);
    assert.deepEqual(cluster.configurationAt(n1), configurationOf({ voters: [n1, n4, n5] }));
  }
});

test("Joint: groups that have no node in common hand over in one change", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4, n5, n6] }) });
  cluster.propose(n1, "kept");
  assert.equal(cluster.change(n1, [n4, n5, n6]), undefined);
  cluster.run(5 * heartbeatMs);
  for (const id of [n1, n2, n3]) cluster.crash(id);
  cluster.runUntil(() => cluster.leader !== undefined, 10 * electionTimeoutMs);
  cluster.propose(cluster.leader?.id ?? n4, "and more");
  cluster.run(heartbeatMs);
  for (const id of [n4, n5, n6]) {
    assert.deepEqual(cluster.logOf(id)[1], "2@1:kept");
    assert.ok(cluster.logOf(id).at(-1)?.endsWith(":and more"));
  }
});

test("Joint: while it lasts, a new leader keeps the members of both up to date", () => {
  const entries = [configurationEntry(1, 1, joint)];
  const solo = new Solo({ configuration: before, entries, term: 1 });
  solo.lead(n2);
  assert.deepEqual([...solo.core.status().progress.keys()], [n2, n3, n4]);
});

test("Joint: a leader whose final entry is not committed keeps those who leave up to date, a new leader too", () => {
  const entries = [configurationEntry(1, 1, joint), configurationEntry(2, 1, final)];
  const solo = new Solo({ configuration: before, entries, term: 1 });
  solo.lead(n2);
  assert.deepEqual(new Set(solo.core.status().progress.keys()), new Set([n2, n3, n4]));
  solo.match(n2, 3);
  assert.deepEqual(new Set(solo.core.status().progress.keys()), new Set([n2, n4]));
});

test("Joint: while leadership is handed over the final entry waits, and the next leader appends it", () => {
  const cluster = ledCluster({ configuration: before });
  cluster.heldDisks.add(n2);
  cluster.heldDisks.add(n3);
  cluster.change(n1, [n1, n2, n4]);
  cluster.settle();
  cluster.filter = ({ message }) => message.type !== "timeout-now";
  cluster.step(n1, { type: "transfer-leadership", to: n4 });
  cluster.heldDisks.clear();
  cluster.settle();
  assert.deepEqual([cluster.at(n1).alive.status().commitIndex, cluster.configurationAt(n1)], [2, joint]);
  cluster.heal();
  cluster.run(2 * heartbeatMs);
  assert.equal(cluster.leader?.id, n4);
  assertEverywhere(cluster, final, [n1, n2, n4]);
});

test("Joint: a transfer that is given up lets the final entry go on", () => {
  const cluster = ledCluster({ configuration: before });
  cluster.heldDisks.add(n2);
  cluster.heldDisks.add(n3);
  cluster.change(n1, [n1, n2, n4]);
  cluster.settle();
  cluster.filter = ({ message }) => message.type !== "timeout-now";
  cluster.step(n1, { type: "transfer-leadership", to: n4 });
  cluster.heldDisks.clear();
  cluster.run(electionTimeoutMs + 3 * heartbeatMs);
  assert.equal(cluster.leader?.id, n1);
  assertEverywhere(cluster, final, [n1, n2, n4]);
});
