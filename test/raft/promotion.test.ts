import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeId } from "../../node/base/ids.ts";
import type { Cluster } from "./cluster.ts";
import { ledCluster } from "./led.ts";
import { configurationOf, electionTimeoutMs, heartbeatMs, n1, n2, n3, n4, n5, Solo } from "./support.ts";

// Who becomes a voter: a learner that answers and is close, and nobody else (§6, dissertation §4.2.1).

const withLearner = configurationOf({ voters: [n1, n2, n3], learners: [n4] });
const withLearnerAsVoter = { type: "change-membership", voters: [n1, n2, n3, n4], learners: [] } as const;

function proposeMany(cluster: Cluster, count: number): void {
  cluster.propose(n1, ...Array.from({ length: count }, (_, at) => `${at}`));
}

function progressOf(cluster: Cluster, node: NodeId) {
  return cluster.at(n1).alive.status().progress.get(node);
}

test("Promotion: a learner that holds the log becomes a voter, and counts from then on", () => {
  const cluster = ledCluster({ configuration: withLearner });
  assert.equal(cluster.change(n1, [n1, n2, n3, n4]), undefined);
  cluster.run(heartbeatMs);
  cluster.cut(n2);
  cluster.propose(n1, "three of four");
  cluster.settle();
  assert.equal(cluster.at(n4).alive.status().commitIndex, 4);
  cluster.cut(n3);
  cluster.propose(n1, "two of four");
  cluster.settle();
  assert.equal(cluster.at(n1).alive.status().commitIndex, 4);
});

test("Promotion: a node that is no learner yet does not become a voter, nor does one that was never heard", () => {
  const stranger = ledCluster({ strangers: [n4] });
  assert.equal(stranger.change(n1, [n1, n2, n3, n4]), "learner-behind");
  const silent = ledCluster({ strangers: [n4] });
  silent.cut(n4);
  silent.change(n1, [n1, n2, n3], [n4]);
  silent.run(3 * electionTimeoutMs);
  assert.deepEqual([progressOf(silent, n4)?.isActive, silent.change(n1, [n1, n2, n3, n4])], [false, "learner-behind"]);
});

test("Promotion: a learner that has been silent for an election timeout does not become a voter until it is heard", () => {
  const cluster = ledCluster({ configuration: withLearner });
  cluster.cut(n4);
  cluster.run(electionTimeoutMs - 3 * heartbeatMs);
  assert.equal(progressOf(cluster, n4)?.isActive, true);
  cluster.run(4 * heartbeatMs);
  assert.equal(progressOf(cluster, n4)?.isActive, false);
  assert.equal(cluster.change(n1, [n1, n2, n3, n4]), "learner-behind");
  cluster.heal();
  cluster.run(heartbeatMs);
  assert.equal(cluster.change(n1, [n1, n2, n3, n4]), undefined);
});

test("Promotion: a learner may be a thousand entries behind, not one more", () => {
  for (const [behind, refusal] of [
    [1000, undefined],
    [1001, "learner-behind"],
  ] as const) {
    const cluster = ledCluster({ configuration: withLearner });
    cluster.heldDisks.add(n4);
    proposeMany(cluster, behind);
    cluster.run(heartbeatMs);
    assert.equal(progressOf(cluster, n4)?.isActive, true);
    assert.equal(cluster.change(n1, [n1, n2, n3, n4]), refusal);
    cluster.heldDisks.clear();
    cluster.run(2 * electionTimeoutMs);
    assert.equal(cluster.change(n1, [n1, n2, n3, n4]), undefined, "once it has caught up");
  }
});

test("Promotion: a learner that is probed, or pulls a snapshot, does not become a voter", () => {
  const probed = ledCluster({ configuration: withLearner });
  probed.step(n1, { type: "peer-refused", peer: n4 });
  assert.equal(progressOf(probed, n4)?.state, "probe");
  assert.equal(probed.change(n1, [n1, n2, n3, n4]), "learner-behind");
  const pulling = ledCluster({ configuration: withLearner });
  pulling.cut(n4);
  proposeMany(pulling, 5);
  pulling.run(heartbeatMs);
  pulling.at(n1).trim(pulling.at(n1).alive.status().applied);
  pulling.heal();
  pulling.run(3 * heartbeatMs);
  assert.equal(progressOf(pulling, n4)?.state, "snapshot");
  assert.equal(pulling.change(n1, [n1, n2, n3, n4]), "learner-behind");
  pulling.at(n4).installSnapshotOf(pulling.at(n1));
  pulling.run(3 * heartbeatMs);
  assert.equal(pulling.change(n1, [n1, n2, n3, n4]), undefined);
  pulling.run(heartbeatMs);
  assert.deepEqual(pulling.configurationAt(n4).voters, [n1, n2, n3, n4]);
});

test("Promotion: one learner that is behind holds up all who would become voters with it", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1], learners: [n2, n3] }) });
  cluster.cut(n3);
  cluster.run(2 * electionTimeoutMs);
  assert.equal(cluster.change(n1, [n1, n2, n3]), "learner-behind");
  assert.equal(cluster.change(n1, [n1, n2], [n3]), undefined);
});

test("Promotion: a voter that lags or is silent may stay one, and may be made a learner", () => {
  const cluster = ledCluster({ configuration: withLearner });
  cluster.cut(n3);
  proposeMany(cluster, 2000);
  cluster.run(2 * electionTimeoutMs);
  assert.equal(cluster.change(n1, [n1, n2, n3, n4]), undefined);
  cluster.run(heartbeatMs);
  assert.equal(cluster.change(n1, [n1, n2, n4], [n3]), undefined);
  cluster.run(heartbeatMs);
  assert.deepEqual(cluster.configurationAt(n2), configurationOf({ voters: [n1, n2, n4], learners: [n3] }));
});

test("Promotion: a node that was never heard is not active, one that answers is", () => {
  const solo = new Solo({ configuration: withLearner });
  solo.lead(n2);
  const isActive = (node: NodeId) => solo.core.status().progress.get(node)?.isActive;
  assert.deepEqual([n2, n3, n4].map(isActive), [false, false, false]);
  solo.match(n2, 1);
  solo.receive(n4, { type: "heartbeat-response", term: solo.term, round: 0 });
  assert.deepEqual([n2, n3, n4].map(isActive), [true, false, true]);
  assert.equal(
    solo.step(withLearnerAsVoter).refusedMembership,
    "learner-behind",
    "heard, but nothing is known of its log",
  );
  solo.match(n4, 0);
  assert.equal(solo.step(withLearnerAsVoter).refusedMembership, undefined);
});

test("Promotion: a single voter grows to three and shrinks to one again, writing all the while", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1] }), strangers: [n2, n3] });
  const steps: [NodeId[], NodeId[]][] = [
    [[n1], [n2]],
    [[n1, n2], [n3]],
    [[n1, n2, n3], []],
    [[n1, n2], [n3]],
    [[n1], []],
  ];
  for (const [voters, learners] of steps) {
    assert.equal(cluster.change(n1, voters, learners), undefined);
    cluster.propose(n1, `with ${voters.length} voters`);
    cluster.run(3 * heartbeatMs);
    assert.deepEqual(cluster.configurationAt(n1), configurationOf({ voters, learners }));
    const position = cluster.read(n1);
    cluster.settle();
    assert.equal(cluster.at(n1).confirmedReads.at(-1)?.position, position);
  }
  const { commitIndex, last, term } = cluster.at(n1).alive.status();
  assert.deepEqual([commitIndex, term], [last.index, 1]);
  for (const id of [n2, n3]) cluster.crash(id);
  cluster.propose(n1, "alone");
  cluster.settle();
  assert.equal(cluster.at(n1).alive.status().commitIndex, commitIndex + 1);
});

test("Promotion: a voter is replaced in one change, and the others never wait for the one that is gone", () => {
  const cluster = ledCluster({ configuration: withLearner, strangers: [n5] });
  cluster.crash(n3);
  assert.equal(cluster.change(n1, [n1, n2, n4]), undefined);
  cluster.run(heartbeatMs);
  assert.deepEqual(cluster.configurationAt(n4), configurationOf({ voters: [n1, n2, n4] }));
  cluster.crash(n2);
  cluster.propose(n1, "by the new one");
  cluster.settle();
  assert.equal(cluster.at(n4).alive.status().commitIndex, 4);
});
