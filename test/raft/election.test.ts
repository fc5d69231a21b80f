import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../node/base/ids.ts";
import { Cluster } from "./cluster.ts";
import {
  at,
  configurationOf,
  electionTimeoutMs,
  heartbeat,
  messagesOf,
  n1,
  n2,
  n3,
  only,
  Solo,
  voteRequest,
} from "./support.ts";

test("Raft: the term on start is at least that of the last entry, and the vote of an older term is void", () => {
  const solo = new Solo({ terms: [1, 4], hardState: { term: term(3), votedFor: n2 } });
  assert.equal(solo.term, 4);
  const answer = solo.receive(n3, voteRequest({ term: 4, last: at(2, 4) }));
  assert.equal(only(messagesOf(answer, "vote-response")).granted, true);
});

test("Raft: a candidate that a majority refuses becomes a follower of the same term", () => {
  const solo = new Solo();
  solo.campaign();
  solo.receive(n2, { type: "pre-vote-response", term: term(1), granted: true });
  for (const voter of [n2, n3]) solo.receive(voter, { type: "vote-response", term: term(1), granted: false });
  assert.deepEqual([solo.core.status().role, solo.term], ["follower", 1]);
});

test("Raft: a single voter that a higher term deposed leads again by itself, in a newer one", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1], learners: [n2] }) });
  solo.receive(n2, { type: "heartbeat-response", term: term(7), round: 0 });
  assert.deepEqual([solo.core.status().role, solo.term], ["follower", 7]);
  assert.equal(messagesOf(solo.tick(), "pre-vote-request").length, 0);
  assert.deepEqual([solo.core.status().role, solo.term], ["leader", 8]);
});

test("Raft: a stuck candidate of a higher term gets a leader it listens to", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n3);
  // A transfer that went wrong left n3 a candidate of term 2, which n1's heartbeats of term 1 cannot reach.
  cluster.step(n3, { type: "message", from: n1, message: { type: "timeout-now", term: term(1) } });
  cluster.settle();
  assert.equal(cluster.at(n3).alive.status().term, 2);
  cluster.heal();
  cluster.runUntil(
    () => new Set(cluster.running.map(({ alive }) => alive.status().leader)).size === 1 && cluster.leader !== undefined,
    10 * electionTimeoutMs,
  );
  assert.ok((cluster.leader?.alive.status().term ?? 0) >= 2);
});

test("Raft: followers whose connection to the leader is refused elect another within a fifth of a timeout", () => {
  const took: number[] = [];
  for (let seed = 1; seed <= 40; seed += 1) {
    const cluster = new Cluster({ seed });
    cluster.elect(n1);
    cluster.run(70);
    cluster.crash(n1);
    cluster.step(n2, { type: "peer-refused", peer: n1 });
    const startMs = cluster.nowMs;
    // The other one notices a little later, and refuses the first pre-vote.
    cluster.run(30);
    cluster.step(n3, { type: "peer-refused", peer: n1 });
    cluster.runUntil(() => cluster.leader !== undefined, 4 * electionTimeoutMs);
    took.push(cluster.nowMs - startMs);
  }
  took.sort((a, b) => a - b);
  assert.ok((took[20] ?? Number.NaN) <= electionTimeoutMs / 5, `median ${took[20]} ms`);
  assert.ok((took.at(-1) ?? Number.NaN) <= electionTimeoutMs, `worst ${took.at(-1)} ms`);
});

test("Raft: one refused connection does not depose a leader that the others hear", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.step(n2, { type: "peer-refused", peer: n1 });
  cluster.run(3 * electionTimeoutMs);
  assert.deepEqual([cluster.leader?.id, cluster.leader?.alive.status().term], [n1, 1]);
  assert.equal(cluster.at(n2).alive.status().leader, n1);
});

test("Raft: a refused connection ends the lease here, so that a candidate gets its vote at once", () => {
  const solo = new Solo({ terms: [1] });
  solo.receive(n2, heartbeat({ term: 1 }));
  const refused = solo.step({ type: "peer-refused", peer: n2 });
  assert.deepEqual(refused.leadership, { role: "follower", term: 1, leader: undefined });
  const answer = solo.receive(n3, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(answer, "vote-response")).granted, true);
});

test("Raft: a pre-vote or vote that fails while the leader's process is gone is tried again within T/8, for two timeouts", () => {
  const solo = new Solo({ terms: [1], electionTimeoutMs });
  solo.receive(n2, heartbeat({ term: 1 }));
  solo.step({ type: "peer-refused", peer: n2 });
  assert.ok(solo.core.deadlineMs - solo.nowMs <= electionTimeoutMs / 10);
  for (let attempt = 0; attempt < 5; attempt += 1) {
    assert.equal(messagesOf(solo.tick(), "pre-vote-request").length, 2);
    solo.receive(n3, { type: "pre-vote-response", term: term(1), granted: false });
    assert.ok(solo.core.deadlineMs - solo.nowMs <= electionTimeoutMs / 8);
  }
  solo.receive(n3, { type: "pre-vote-response", term: term(2), granted: true });
  assert.equal(solo.core.status().role, "candidate");
  solo.receive(n3, { type: "vote-response", term: term(2), granted: false });
  assert.ok(solo.core.deadlineMs - solo.nowMs <= electionTimeoutMs / 8);
  solo.passMs(2 * electionTimeoutMs);
  solo.tick();
  assert.ok(solo.core.deadlineMs - solo.nowMs >= electionTimeoutMs);
});

test("Raft: a new leader that nobody has answered yet has one election timeout for it (CheckQuorum)", () => {
  const solo = new Solo();
  solo.lead(n2);
  const electedMs = solo.nowMs;
  while (solo.core.deadlineMs < electedMs + electionTimeoutMs) {
    solo.tick();
    assert.equal(solo.core.status().role, "leader", `${solo.nowMs - electedMs} ms`);
  }
  solo.tick();
  assert.equal(solo.core.status().role, "follower");
});

test("Raft: a refused connection to somebody else changes nothing", () => {
  const solo = new Solo({ terms: [1] });
  solo.receive(n2, heartbeat({ term: 1 }));
  const before = solo.core.deadlineMs;
  assert.equal(solo.step({ type: "peer-refused", peer: n3 }).leadership, undefined);
  assert.equal(solo.core.deadlineMs, before);
});
