import assert from "node:assert/strict";
import { test } from "node:test";
import { type NodeId, term } from "../../node/base/ids.ts";
import type { Cluster } from "./cluster.ts";
import { ledCluster } from "./led.ts";
import {
  appendRequest,
  at,
  configurationEntry,
  configurationOf,
  electionTimeoutMs,
  heartbeatMs,
  messagesOf,
  n1,
  n2,
  n3,
  n4,
  n5,
  Solo,
  voteRequest,
} from "./support.ts";

// Who leaves: a leader that removes or demotes itself, and nodes that are removed and may not know it (§6).

function termsOf(cluster: Cluster, ...nodes: NodeId[]): number[] {
  return nodes.map((id) => cluster.at(id).alive.status().term);
}

/** How often anybody stood for election since the cluster began. */
function candidacies(cluster: Cluster): number {
  const asked = cluster.sent.filter(({ message }) => message.type === "vote-request");
  return new Set(asked.map(({ from, message }) => `${from} ${message.term}`)).size;
}

test("Leaving: a leader that removes itself manages the change to its commit, hands over at once, and falls silent (§6)", () => {
  const cluster = ledCluster();
  cluster.propose(n1, "a");
  assert.equal(cluster.change(n1, [n2, n3]), undefined);
  cluster.settle();
  assert.ok(cluster.leader !== undefined && cluster.leader.id !== n1, "no election timeout passed");
  assert.equal(cluster.at(n1).alive.status().role, "follower");
  assert.deepEqual(cluster.configurationAt(n2), configurationOf({ voters: [n2, n3] }));
  cluster.run(heartbeatMs);
  const before = cluster.sent.length;
  cluster.run(10 * electionTimeoutMs);
  assert.ok(cluster.sent.slice(before).every(({ from, to }) => from !== n1 && to !== n1));
  assert.deepEqual(termsOf(cluster, n2, n3), [2, 2]);
});

test("Leaving: a leader that makes itself a learner hands over and follows, and keeps receiving (§6)", () => {
  const cluster = ledCluster();
  assert.equal(cluster.change(n1, [n2, n3], [n1]), undefined);
  cluster.settle();
  const leader = cluster.leader?.id ?? n1;
  assert.notEqual(leader, n1);
  cluster.propose(leader, "after");
  cluster.run(heartbeatMs);
  assert.equal(cluster.at(n1).alive.status().leader, leader);
  assert.ok(cluster.logOf(n1).at(-1)?.endsWith(":after"));
  cluster.crash(leader);
  cluster.run(10 * electionTimeoutMs);
  assert.equal(cluster.leader, undefined, "n1 does not vote");
});

test("Leaving: a leader on its way out is not counted for the commit of the configuration without it", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3] }) });
  solo.lead(n2);
  solo.match(n2, 1);
  solo.step({ type: "change-membership", voters: [n2, n3], learners: [] });
  solo.match(n2, 2);
  assert.equal(solo.core.status().commitIndex, 1, "n2 and the leader are a majority of the old voters only");
  solo.match(n3, 2);
  assert.equal(solo.core.status().commitIndex, 2);
  solo.match(n3, 3);
  assert.deepEqual([solo.core.status().commitIndex, solo.core.status().role], [2, "leader"]);
  const ended = solo.match(n2, 3);
  assert.deepEqual([solo.core.status().commitIndex, solo.core.status().role], [3, "follower"]);
  assert.equal(messagesOf(ended, "timeout-now").length, 1);
});

test("Leaving: proposals and reads under way when the leader leaves are all answered one way or the other", () => {
  const cluster = ledCluster();
  cluster.change(n1, [n2, n3]);
  cluster.propose(n1, "under way");
  const position = cluster.read(n1);
  cluster.settle();
  assert.equal(cluster.propose(n1, "late").refusedProposals, "not-leader");
  const { confirmedReads, refusedReads } = cluster.at(n1);
  assert.deepEqual([...confirmedReads.map((read) => read.position), ...refusedReads], [position]);
  cluster.run(heartbeatMs);
  assert.ok(cluster.logOf(n2).some((text) => text.endsWith(":under way")));
});

test("Leaving: it hands over to the voter that is furthest; if that message is lost, the others elect by themselves", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  cluster.filter = ({ message }) => message.type !== "timeout-now";
  cluster.change(n1, [n2, n3], [n4]);
  cluster.settle();
  assert.deepEqual([cluster.leader, cluster.at(n1).alive.status().role], [undefined, "follower"]);
  cluster.runUntil(() => cluster.leader !== undefined, 4 * electionTimeoutMs);
  cluster.heal();
  const solo = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3, n5] }) });
  solo.lead(n2, n3);
  for (const voter of [n2, n3, n5]) solo.match(voter, 1);
  solo.step({ type: "change-membership", voters: [n2, n3, n5], learners: [] });
  for (const voter of [n2, n3, n5]) solo.match(voter, 2);
  solo.propose("beyond the final entry");
  solo.match(n3, 4);
  assert.equal(messagesOf(solo.match(n5, 3), "timeout-now", n3).length, 1);
});

test("Leaving: a leader that was asked to hand over, and asked the heir, does not ask a second one", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3, n4] }) });
  solo.lead(n2, n3);
  for (const voter of [n2, n3, n4]) solo.match(voter, 1);
  solo.step({ type: "change-membership", voters: [n2, n3, n4], learners: [] });
  for (const voter of [n2, n3]) solo.match(voter, 2);
  // The final entry is on its way when leadership shall go to n2, which has everything.
  solo.match(n2, 3);
  assert.equal(messagesOf(solo.step({ type: "transfer-leadership", to: n2 }), "timeout-now", n2).length, 1);
  const ended = solo.match(n3, 3);
  assert.deepEqual([messagesOf(ended, "timeout-now"), solo.core.status().role], [[], "follower"]);
});

test("Leaving: two voters become one, and it elects itself", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2] }) });
  assert.equal(cluster.change(n1, [n2]), undefined);
  cluster.settle();
  assert.equal(cluster.leader?.id, n2);
  cluster.crash(n1);
  cluster.propose(n2, "alone");
  cluster.settle();
  assert.ok(cluster.logOf(n2).at(-1)?.endsWith(":alone"));
  assert.equal(cluster.at(n2).alive.status().commitIndex, cluster.at(n2).alive.status().last.index);
});

test("Leaving: a removed node is told that the change without it is committed, and gets nothing more", () => {
  for (const learners of [[n4], []]) {
    const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
    const gone = learners.length > 0 ? n3 : n4;
    const voters = learners.length > 0 ? [n1, n2] : [n1, n2, n3];
    cluster.change(n1, voters, learners);
    cluster.settle();
    const { commitIndex, configuration, leader } = cluster.at(gone).alive.status();
    assert.deepEqual(configuration, configurationOf({ voters, learners }));
    assert.equal(commitIndex, cluster.at(n1).alive.status().commitIndex);
    assert.equal(leader, n1);
    assert.equal(cluster.at(n1).alive.status().progress.has(gone), false);
    const before = cluster.sent.length;
    cluster.propose(n1, "not for all");
    cluster.run(10 * electionTimeoutMs);
    assert.ok(cluster.sent.slice(before).every(({ from, to }) => from !== gone && to !== gone));
    assert.equal(cluster.at(n1).alive.status().term, 1);
  }
});

test("Leaving: the last word to a removed node carries what it lacks, as far as one message can", () => {
  const cluster = ledCluster();
  cluster.heldDisks.add(n3);
  cluster.change(n1, [n1, n2]);
  cluster.settle();
  const last = cluster.sent.findLast(({ to }) => to === n3)?.message;
  assert.ok(last?.type === "append-request" && last.commitIndex === 3, JSON.stringify(last));
  cluster.heldDisks.clear();
  cluster.settle();
  assert.equal(cluster.at(n3).alive.status().commitIndex, 3);
});

test("Leaving: a node whose log is far behind when it is removed hears no more than a heartbeat", () => {
  const cluster = ledCluster();
  cluster.cut(n3);
  for (let count = 0; count < 10; count += 1) cluster.propose(n1, `p${count}`);
  cluster.run(heartbeatMs);
  cluster.at(n1).trim(cluster.at(n1).alive.status().applied);
  cluster.step(n1, { type: "peer-refused", peer: n3 });
  cluster.change(n1, [n1, n2]);
  cluster.settle();
  assert.equal(cluster.sent.findLast(({ to }) => to === n3)?.message.type, "heartbeat-request");
  assert.deepEqual([...cluster.at(n1).alive.status().progress.keys()], [n2]);
});

test("Leaving: a node that was cut off while it was removed causes no election when it returns (PreVote)", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3, n4] }) });
  cluster.cut(n4);
  cluster.change(n1, [n1, n2, n3]);
  cluster.run(20 * electionTimeoutMs);
  cluster.heal();
  cluster.run(20 * electionTimeoutMs);
  assert.deepEqual([cluster.leader?.id, ...termsOf(cluster, n1, n2, n3, n4)], [n1, 1, 1, 1, 1]);
  assert.equal(candidacies(cluster), 1);
  // Nor when the group has no leader for a moment: its log is not good enough.
  cluster.crash(n1);
  cluster.runUntil(() => cluster.leader !== undefined, 20 * electionTimeoutMs);
  assert.ok([n2, n3].includes(cluster.leader?.id ?? n4));
});

test("Leaving: whatever a removed node of a higher term says, nobody who hears the leader listens", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3, n4] }) });
  cluster.cut(n4);
  cluster.change(n1, [n1, n2, n3]);
  cluster.run(heartbeatMs);
  // A transfer that was under way when it was removed makes it a candidate, with leave to disregard the lease.
  cluster.step(n4, { type: "message", from: n1, message: { type: "timeout-now", term: term(1) } });
  cluster.heal();
  cluster.settle();
  assert.equal(cluster.at(n4).alive.status().term, 2);
  const rest = [
    { type: "append-response", term: term(9), result: { type: "matched", matchIndex: at(1, 1).index } },
    { type: "heartbeat-response", term: term(9), round: 0 },
    { type: "vote-response", term: term(9), granted: false },
    { type: "read-index-request", term: term(9), position: 1 },
    { type: "transfer-request", term: term(9), to: undefined },
    voteRequest({ term: 9, last: at(99, 9), transfer: true }),
    { type: "pre-vote-request", term: term(9), last: at(99, 9) },
  ] as const;
  for (const message of rest) for (const to of [n1, n2, n3]) cluster.deliver({ from: n4, to, message });
  cluster.run(10 * electionTimeoutMs);
  assert.deepEqual([cluster.leader?.id, ...termsOf(cluster, n1, n2, n3)], [n1, 1, 1, 1]);
});

test("Leaving: a leader that the configuration does not name is followed all the same: one's own may be old", () => {
  const follower = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3] }), term: 1 });
  follower.receive(n4, appendRequest({ term: 2, entries: [] }));
  assert.deepEqual([follower.core.status().leader, follower.term], [n4, 2]);
  const voter = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3] }), term: 1 });
  const answer = messagesOf(voter.receive(n4, voteRequest({ term: 2, last: at(0, 0) })), "vote-response");
  assert.deepEqual([answer[0]?.granted, voter.term], [true, 2]);
});

test("Leaving: a transfer to a node that was removed changes nothing", () => {
  const cluster = ledCluster();
  cluster.change(n1, [n1, n2]);
  cluster.settle();
  for (const asked of [n1, n2]) cluster.step(asked, { type: "transfer-leadership", to: n3 });
  cluster.run(2 * electionTimeoutMs);
  assert.deepEqual([cluster.leader?.id, termsOf(cluster, n1, n2, n3)], [n1, [1, 1, 1]]);
  assert.equal(cluster.propose(n1, "a").refusedProposals, undefined);
});

test("Leaving: a node that knows of its committed removal stands for no election, one that can only guess does", () => {
  const without = configurationEntry(1, 1, { voters: [n2, n3], outgoing: [n1, n2, n3] });
  const final = configurationEntry(2, 1, { voters: [n2, n3] });
  const removed = new Solo({ term: 1 });
  removed.receive(n2, appendRequest({ term: 1, entries: [without, final], commit: 1 }));
  removed.passMs(3 * electionTimeoutMs);
  assert.equal(messagesOf(removed.tick(), "pre-vote-request").length, 2);
  removed.receive(n2, appendRequest({ term: 1, previous: at(2, 1), commit: 2 }));
  for (let ticks = 0; ticks < 3; ticks += 1) assert.equal(removed.tick().messages.length, 0);
  removed.receive(n2, { type: "timeout-now", term: term(1) });
  assert.equal(removed.core.status().role, "follower");
});

test("Leaving: a removed node that comes back as a learner takes up where its log agrees", () => {
  const cluster = ledCluster();
  cluster.cut(n3);
  cluster.change(n1, [n1, n2]);
  for (let count = 0; count < 5; count += 1) cluster.propose(n1, `p${count}`);
  cluster.run(20 * electionTimeoutMs);
  cluster.heal();
  assert.equal(cluster.change(n1, [n1, n2], [n3]), undefined);
  cluster.run(3 * heartbeatMs);
  assert.deepEqual(cluster.logOf(n3), cluster.logOf(n1));
  assert.equal(cluster.change(n1, [n1, n2, n3]), undefined);
  cluster.run(heartbeatMs);
  assert.deepEqual([cluster.leader?.id, termsOf(cluster, n1, n2, n3)], [n1, [1, 1, 1]]);
});
