import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../node/base/ids.ts";
import { ledCluster } from "./led.ts";
import { configurationOf, electionTimeoutMs, heartbeatMs, messagesOf, n1, n2, n3, n4, only, Solo } from "./support.ts";

test("Transfer: to an up-to-date voter takes no time, in spite of the lease", () => {
  const cluster = ledCluster();
  cluster.step(n1, { type: "transfer-leadership", to: n3 });
  cluster.settle();
  assert.equal(cluster.leader?.id, n3);
  assert.deepEqual(
    cluster.running.map(({ alive }) => alive.status().leader),
    [n3, n3, n3],
  );
});

test("Transfer: without a name it goes to the voter that is furthest", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  solo.lead(n2);
  solo.match(n2, 1);
  solo.match(n4, 1);
  const effects = solo.step({ type: "transfer-leadership", to: undefined });
  assert.equal(only(messagesOf(effects, "timeout-now", n2)).term, 1);
  assert.equal(messagesOf(effects, "timeout-now").length, 1);
});

test("Transfer: a slow target is brought up to date first, with proposals under way", () => {
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

test("Transfer: meanwhile proposals are refused, and no entry is lost", () => {
  const cluster = ledCluster();
  cluster.cut(n2);
  cluster.propose(n1, "before");
  cluster.settle();
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  assert.equal(cluster.propose(n1, "during").refusedProposals, "not-leader");
});

test("Transfer: to a lost node is given up after an election timeout, and the leader goes on", () => {
  const cluster = ledCluster();
  cluster.crash(n2);
  cluster.propose(n1, "a");
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  cluster.run(electionTimeoutMs + 2 * heartbeatMs);
  assert.deepEqual([cluster.leader?.id, cluster.leader?.alive.status().term], [n1, 1]);
  assert.equal(cluster.propose(n1, "b").refusedProposals, undefined);
});

test("Transfer: a lost timeout-now is sent again", () => {
  const cluster = ledCluster();
  let lost = 0;
  cluster.filter = ({ message }) => message.type !== "timeout-now" || lost++ > 0;
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  cluster.run(2 * heartbeatMs);
  assert.equal(cluster.leader?.id, n2);
});

test("Transfer: to a learner, a stranger or itself changes nothing", () => {
  for (const to of [n4, "n9" as typeof n4, n1]) {
    const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
    cluster.step(n1, { type: "transfer-leadership", to });
    assert.equal(cluster.propose(n1, "a").refusedProposals, undefined, to);
    cluster.run(2 * electionTimeoutMs);
    assert.deepEqual([cluster.leader?.id, cluster.leader?.alive.status().term], [n1, 1]);
  }
});

test("Transfer: another target takes the place of the first", () => {
  const cluster = ledCluster();
  cluster.cut(n2);
  cluster.propose(n1, "a");
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  cluster.step(n1, { type: "transfer-leadership", to: n3 });
  cluster.run(heartbeatMs);
  assert.equal(cluster.leader?.id, n3);
});

test("Transfer: a follower asked to hand over passes it on to its leader", () => {
  const cluster = ledCluster();
  cluster.step(n2, { type: "transfer-leadership", to: n3 });
  cluster.settle();
  assert.equal(cluster.leader?.id, n3);
});

test("Transfer: a follower that knows no leader does nothing", () => {
  const effects = new Solo().step({ type: "transfer-leadership", to: n3 });
  assert.equal(effects.messages.length + effects.messagesAfterSync.length, 0);
});

test("Transfer: a request that is lost changes nothing, and the next one counts", () => {
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

test("Transfer: a request that finds no leader, is old, or comes from a stranger is ignored", () => {
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

test("Transfer: a learner that is told to stand does not", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  cluster.step(n4, {
    type: "message",
    from: n1,
    message: { type: "timeout-now", term: cluster.at(n1).alive.status().term },
  });
  assert.equal(cluster.at(n4).alive.status().role, "follower");
});
