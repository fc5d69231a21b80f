import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../../node/base/ids.ts";
import { ledCluster } from "../led.ts";
import {
  at,
  configurationOf,
  electionTimeoutMs,
  heartbeat,
  heartbeatMs,
  messagesOf,
  n1,
  n2,
  n3,
  n4,
  only,
  Solo,
  voteRequest,
} from "../support.ts";

test("Transfer §3.10: to an up-to-date voter takes no time, in spite of the lease", () => {
  const cluster = ledCluster();
  cluster.step(n1, { type: "transfer-leadership", to: n3 });
  cluster.settle();
  assert.equal(cluster.leader?.id, n3);
  assert.deepEqual(
    cluster.running.map(({ alive }) => alive.status().leader),
    [n3, n3, n3],
  );
});

test("Transfer §3.10: the target stands at once, without a pre-vote, and says on whose behalf", () => {
  const solo = new Solo({ terms: [1] });
  solo.receive(n2, heartbeat({ term: 1 }));
  const stood = solo.receive(n2, { type: "timeout-now", term: term(1) });
  assert.deepEqual(stood.hardState, { term: 2, votedFor: n1 });
  assert.equal(messagesOf(stood, "pre-vote-request").length, 0);
  assert.deepEqual(
    messagesOf(stood, "vote-request").map((request) => [request.term, request.transfer]),
    [
      [2, true],
      [2, true],
    ],
  );
});

test("Transfer §3.10: a vote that it asks for is granted in spite of the live leader, and only to a voter", () => {
  for (const [from, isGranted] of [
    [n3, true],
    [n4, false],
  ] as const) {
    const solo = new Solo({ terms: [1] });
    solo.receive(n2, heartbeat({ term: 1 }));
    const answer = solo.receive(from, voteRequest({ term: 2, last: at(1, 1), transfer: true }));
    assert.deepEqual(
      messagesOf(answer, "vote-response").map(({ granted }) => granted),
      isGranted ? [true] : [],
      from,
    );
  }
});

test("Transfer §3.10: without a name it goes to the voter that is furthest", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  solo.lead(n2);
  solo.propose("a");
  for (const [follower, index] of [
    [n2, 1],
    [n3, 2],
    [n4, 2],
  ] as const)
    solo.match(follower, index);
  const effects = solo.step({ type: "transfer-leadership", to: undefined });
  assert.equal(only(messagesOf(effects, "timeout-now")).term, 1);
  assert.equal(messagesOf(effects, "timeout-now", n3).length, 1);
});

test("Transfer §3.10: where no voter was heard of late, it goes to the one that was furthest", () => {
  const solo = new Solo();
  solo.lead(n2);
  solo.match(n3, 1);
  solo.passMs(2 * electionTimeoutMs);
  const effects = solo.step({ type: "transfer-leadership", to: undefined });
  assert.equal(messagesOf(effects, "timeout-now", n3).length, 1);
});

test("Transfer §3.10: the target is told to stand only once it is known to hold the whole log", () => {
  const solo = new Solo();
  solo.lead(n2);
  solo.propose("a");
  solo.match(n2, 1);
  assert.equal(messagesOf(solo.step({ type: "transfer-leadership", to: n2 }), "timeout-now").length, 0);
  assert.equal(messagesOf(solo.tick(), "timeout-now").length, 0);
  assert.equal(messagesOf(solo.match(n2, 2), "timeout-now", n2).length, 1);
});

test("Transfer §3.10: a slow target is brought up to date first, with proposals under way", () => {
  const cluster = ledCluster();
  cluster.heldDisks.add(n2);
  cluster.propose(n1, "a", "b");
  cluster.settle();
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  cluster.settle();
  assert.equal(cluster.leader?.id, n1);
  cluster.heldDisks.clear();
  cluster.run(heartbeatMs);
  assert.equal(cluster.leader?.id, n2);
  assert.deepEqual(cluster.logOf(n2).slice(0, 3), ["1@1:", "2@1:a", "3@1:b"]);
});

test("Transfer §3.10: meanwhile proposals are refused, and no entry is lost", () => {
  const cluster = ledCluster();
  cluster.cut(n2);
  cluster.propose(n1, "before");
  cluster.settle();
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  assert.equal(cluster.propose(n1, "during").refusedProposals, "not-leader");
});

test("Transfer §3.10: to a lost node is given up after an election timeout, and the leader goes on", () => {
  const cluster = ledCluster();
  cluster.crash(n2);
  cluster.propose(n1, "a");
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  cluster.run(electionTimeoutMs + 2 * heartbeatMs);
  assert.deepEqual([cluster.leader?.id, cluster.leader?.alive.status().term], [n1, 1]);
  assert.equal(cluster.propose(n1, "b").refusedProposals, undefined);
});

test("Transfer §3.10: a lost timeout-now is sent again", () => {
  const cluster = ledCluster();
  let lost = 0;
  cluster.filter = ({ message }) => message.type !== "timeout-now" || lost++ > 0;
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  cluster.run(2 * heartbeatMs);
  assert.equal(cluster.leader?.id, n2);
});

test("Transfer §3.10: to a learner, a stranger or itself changes nothing", () => {
  for (const to of [n4, "n9" as typeof n4, n1]) {
    const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
    cluster.step(n1, { type: "transfer-leadership", to });
    assert.equal(cluster.propose(n1, "a").refusedProposals, undefined, to);
    cluster.run(2 * electionTimeoutMs);
    assert.deepEqual([cluster.leader?.id, cluster.leader?.alive.status().term], [n1, 1]);
  }
});

test("Transfer §3.10: another target takes the place of the first", () => {
  const cluster = ledCluster();
  cluster.cut(n2);
  cluster.propose(n1, "a");
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  cluster.step(n1, { type: "transfer-leadership", to: n3 });
  cluster.run(heartbeatMs);
  assert.equal(cluster.leader?.id, n3);
});

test("Transfer §3.10: a follower asked to hand over passes it on to its leader", () => {
  const cluster = ledCluster();
  cluster.step(n2, { type: "transfer-leadership", to: n3 });
  cluster.settle();
  assert.equal(cluster.leader?.id, n3);
});

test("Transfer §3.10: a follower that knows no leader does nothing", () => {
  const effects = new Solo().step({ type: "transfer-leadership", to: n3 });
  assert.equal(effects.messages.length + effects.messagesAfterSync.length, 0);
});

test("Transfer §3.10: a request that is lost changes nothing, and the next one counts", () => {
  const cluster = ledCluster();
  cluster.filter = ({ message }) => message.type !== "transfer-request";
  cluster.step(n2, { type: "transfer-leadership", to: n2 });
  cluster.run(2 * electionTimeoutMs);
  assert.equal(cluster.leader?.id, n1);
  assert.equal(cluster.propose(n1, "a").refusedProposals, undefined);
  cluster.heal();
  cluster.step(n2, { type: "transfer-leadership", to: n2 });
  cluster.settle();
  assert.equal(cluster.leader?.id, n2);
});

test("Transfer §3.10: a request that finds no leader, is old, or comes from a stranger is ignored", () => {
  const request = { type: "transfer-request", term: term(1), to: n2 } as const;
  assert.equal(new Solo({ term: 1 }).receive(n2, request).messages.length, 0);
  const solo = new Solo({ term: 1 });
  solo.lead(n2);
  solo.match(n2, 1);
  for (const [from, of] of [
    [n2, 1],
    [n4, 2],
    [n4, 3],
  ] as const)
    assert.equal(messagesOf(solo.receive(from, { ...request, term: term(of) }), "timeout-now").length, 0);
  assert.deepEqual([solo.core.status().role, solo.term], ["leader", 2]);
});

test("Transfer §3.10: a learner that is told to stand does not", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  cluster.step(n4, {
    type: "message",
    from: n1,
    message: { type: "timeout-now", term: cluster.at(n1).alive.status().term },
  });
  assert.equal(cluster.at(n4).alive.status().role, "follower");
});
