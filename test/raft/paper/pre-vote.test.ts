import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../../node/base/ids.ts";
import { Cluster } from "../cluster.ts";
import {
  at,
  configurationOf,
  electionTimeoutMs,
  heartbeat,
  messagesOf,
  n1,
  n2,
  n3,
  n4,
  n5,
  only,
  Solo,
} from "../support.ts";

// Ongaro's dissertation, §9.6: a candidate first asks whether it would be elected.

const granted = (ofTerm: number) => ({ type: "pre-vote-response", term: term(ofTerm), granted: true }) as const;
const refused = (ofTerm: number) => ({ type: "pre-vote-response", term: term(ofTerm), granted: false }) as const;

test("PreVote §9.6: a pre-candidate changes neither term nor vote, and stands once a majority would vote for it", () => {
  const voters = [n1, n2, n3, n4, n5];
  const solo = new Solo({ terms: [1], configuration: configurationOf({ voters }) });
  const asked = solo.campaign();
  assert.deepEqual([asked.hardState, solo.term], [undefined, 1]);
  for (const to of voters.slice(1)) {
    const { term: ofTerm, last } = only(messagesOf(asked, "pre-vote-request", to));
    assert.deepEqual({ ofTerm, last }, { ofTerm: 2, last: at(1, 1) });
  }
  for (let copy = 0; copy < 3; copy += 1) solo.receive(n2, granted(2));
  assert.deepEqual([solo.core.status().role, solo.term], ["pre-candidate", 1], "two of five");
  assert.deepEqual(solo.receive(n3, granted(2)).hardState, { term: 2, votedFor: n1 });
  assert.equal(solo.core.status().role, "candidate");
});

test("PreVote §9.6: a pre-vote is granted only where no leader was heard for an election timeout", () => {
  const solo = new Solo({ terms: [1] });
  const ask = () =>
    only(
      messagesOf(solo.receive(n3, { type: "pre-vote-request", term: term(2), last: at(1, 1) }), "pre-vote-response"),
    );
  solo.receive(n2, heartbeat({ term: 1 }));
  solo.passMs(electionTimeoutMs - 1);
  assert.deepEqual([ask().granted, ask().term], [false, 1]);
  solo.passMs(1);
  assert.deepEqual([ask().granted, ask().term], [true, 2]);
});

test("PreVote §9.6: a leader grants no pre-vote", () => {
  const leader = new Solo();
  leader.lead(n2);
  const answer = leader.receive(n3, { type: "pre-vote-request", term: term(9), last: at(9, 9) });
  assert.equal(only(messagesOf(answer, "pre-vote-response")).granted, false);
  assert.deepEqual([leader.core.status().role, leader.term], ["leader", 1]);
});

test("PreVote §9.6: a pre-vote request changes nothing on the node that answers it", () => {
  const solo = new Solo({ terms: [1] });
  const deadlineMs = solo.core.deadlineMs;
  const effects = solo.receive(n2, { type: "pre-vote-request", term: term(40), last: at(1, 1) });
  assert.equal(only(messagesOf(effects, "pre-vote-response")).granted, true);
  assert.deepEqual([effects.hardState, effects.leadership, solo.term], [undefined, undefined, 1]);
  assert.equal(solo.core.deadlineMs, deadlineMs);
});

test("PreVote §9.6: several may get a pre-vote of one node, for none of them is a vote", () => {
  const solo = new Solo();
  for (const candidate of [n2, n3]) {
    const answer = solo.receive(candidate, { type: "pre-vote-request", term: term(1), last: at(0, 0) });
    assert.equal(only(messagesOf(answer, "pre-vote-response")).granted, true);
  }
});

test("PreVote §9.6: a pre-candidate that a majority refuses, or that hears a leader, follows in the same term", () => {
  const refusedByAll = new Solo({ term: 3 });
  refusedByAll.campaign();
  for (const voter of [n2, n3]) refusedByAll.receive(voter, refused(3));
  assert.deepEqual([refusedByAll.core.status().role, refusedByAll.term], ["follower", 3]);
  const led = new Solo({ term: 3 });
  led.campaign();
  led.receive(n2, heartbeat({ term: 3 }));
  assert.deepEqual([led.core.status().role, led.core.status().leader, led.term], ["follower", n2, 3]);
});

test("PreVote §9.6: an answer to an earlier attempt, for another term, counts for nothing", () => {
  const solo = new Solo({ terms: [4] });
  solo.campaign();
  for (const ofTerm of [4, 6]) solo.receive(n2, granted(ofTerm));
  assert.equal(solo.core.status().role, "pre-candidate");
  solo.receive(n2, granted(5));
  assert.equal(solo.core.status().role, "candidate");
});

test("PreVote §9.6: whoever fell behind in terms learns it from a refusal, instead of asking for ever", () => {
  const ahead = new Solo({ term: 9 });
  const request = { type: "pre-vote-request", term: term(3), last: at(9, 9) } as const;
  const answer = only(messagesOf(ahead.receive(n2, request), "pre-vote-response"));
  assert.deepEqual([answer.granted, answer.term], [false, 9]);
  const behind = new Solo({ id: n2, term: 2 });
  behind.campaign();
  behind.receive(n1, answer);
  assert.deepEqual([behind.core.status().role, behind.term], ["follower", 9]);
});

test("PreVote §9.6: a node that returns from a partition neither raises the term nor deposes the leader", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n3);
  cluster.run(20 * electionTimeoutMs);
  assert.equal(cluster.at(n3).alive.status().term, 1);
  cluster.heal();
  cluster.run(2 * electionTimeoutMs);
  assert.deepEqual(
    [...cluster.nodes.keys()].map((id) => [cluster.at(id).alive.status().term, cluster.at(id).alive.status().leader]),
    [
      [1, n1],
      [1, n1],
      [1, n1],
    ],
  );
});

test("PreVote §9.6: a node that hears everybody but the leader does not depose it while others hear it (bridge)", () => {
  const cluster = new Cluster({ voters: 5 });
  cluster.elect(n1);
  for (const id of [n2, n3]) cluster.cut(n1, id);
  cluster.run(10 * electionTimeoutMs);
  assert.equal(cluster.leader?.id, n1, "a quorum hears it");
  assert.deepEqual(
    cluster.running.map(({ alive }) => alive.status().term),
    [1, 1, 1, 1, 1],
  );
  cluster.propose(n1, "a");
  cluster.settle();
  assert.equal(cluster.at(n1).alive.status().commitIndex, 2);
});
