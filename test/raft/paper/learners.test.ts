import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../../node/base/ids.ts";
import { Cluster } from "../cluster.ts";
import { ledCluster } from "../led.ts";
import {
  appendRequest,
  at,
  configurationOf,
  electionTimeoutMs,
  entriesOf,
  heartbeatMs,
  messagesOf,
  n1,
  n2,
  n3,
  n4,
  n5,
  only,
  Solo,
} from "../support.ts";

// Ongaro's dissertation, §4.2.1: members that receive the log and have no vote. Who becomes a voter: ../promotion.test.ts.

const configuration = configurationOf({ voters: [n1, n2, n3], learners: [n4, n5] });

test("Learner §4.2.1: it is sent every entry, and applies what is committed", () => {
  const solo = new Solo({ configuration });
  const led = solo.lead(n2);
  for (const learner of [n4, n5]) assert.equal(messagesOf(led, "append-request", learner).length, 1);
  const learner = new Solo({ id: n4, configuration });
  const { committed } = learner.receive(n1, appendRequest({ term: 1, entries: entriesOf([1, 1]), commit: 2 }));
  assert.equal(committed.length, 2);
});

test("Learner §4.2.1: it is not counted for a commitment", () => {
  const solo = new Solo({ configuration });
  solo.lead(n2);
  for (const learner of [n4, n5]) solo.match(learner, 1);
  assert.equal(solo.core.status().commitIndex, 0);
  solo.match(n2, 1);
  assert.equal(solo.core.status().commitIndex, 1);
});

test("Learner §4.2.1: it is not asked for votes, is not counted if it answers, and never stands", () => {
  const candidate = new Solo({ configuration });
  const asked = candidate.campaign();
  for (const learner of [n4, n5]) {
    assert.equal(messagesOf(asked, "pre-vote-request", learner).length, 0);
    candidate.receive(learner, { type: "pre-vote-response", term: term(1), granted: true });
  }
  assert.equal(candidate.core.status().role, "pre-candidate");
  candidate.receive(n2, { type: "pre-vote-response", term: term(1), granted: true });
  for (const each of [n4, n5]) candidate.receive(each, { type: "vote-response", term: term(1), granted: true });
  assert.equal(candidate.core.status().role, "candidate");
  const learner = new Solo({ id: n4, configuration });
  for (let ticks = 0; ticks < 5; ticks += 1) assert.equal(learner.tick().messages.length, 0);
  assert.deepEqual([learner.core.status().role, learner.term], ["follower", 0]);
});

test("Learner §4.2.1: it votes for whoever asks, for it may be a voter and not know it yet", () => {
  const learner = new Solo({ id: n4, configuration, terms: [1] });
  const answer = learner.receive(n2, { type: "vote-request", term: term(2), last: at(1, 1), transfer: false });
  assert.equal(only(messagesOf(answer, "vote-response")).granted, true);
});

test("Learner §4.2.1: it confirms no read, and keeps no leader", () => {
  const solo = new Solo({ configuration });
  solo.lead(n2);
  solo.match(n2, 1);
  solo.step({ type: "read", position: 1 });
  for (const learner of [n4, n5]) {
    const answer = { type: "heartbeat-response", term: solo.term, round: 1 } as const;
    assert.equal(solo.receive(learner, answer).confirmedReads.length, 0);
  }
  const cluster = new Cluster({ configuration });
  cluster.elect(n1);
  for (const voter of [n2, n3]) cluster.cut(voter);
  cluster.run(electionTimeoutMs + 2 * heartbeatMs);
  assert.notEqual(cluster.at(n1).alive.status().role, "leader");
});

test("Learner §4.2.1: one that is slow or gone holds up nobody", () => {
  const cluster = ledCluster({ configuration });
  cluster.crash(n4);
  cluster.heldDisks.add(n5);
  cluster.propose(n1, "a");
  cluster.settle();
  assert.equal(cluster.at(n2).alive.status().applied, 2);
});

test("Learner §4.2.1: it becomes a voter when it is close to the end of the log, never while it is far behind or silent", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  const promote = () => cluster.change(n1, [n1, n2, n3, n4]);
  cluster.heldDisks.add(n4);
  cluster.propose(n1, ...Array.from({ length: 1500 }, (_, place) => `${place}`));
  cluster.run(heartbeatMs);
  assert.equal(promote(), "learner-behind", "far behind");
  cluster.heldDisks.clear();
  cluster.run(electionTimeoutMs);
  assert.equal(cluster.at(n1).alive.status().progress.get(n4)?.matchIndex, 1501);
  cluster.cut(n4);
  cluster.run(electionTimeoutMs + 2 * heartbeatMs);
  assert.equal(promote(), "learner-behind", "silent");
  cluster.heal();
  cluster.run(electionTimeoutMs);
  assert.equal(promote(), undefined);
  cluster.run(2 * heartbeatMs);
  assert.deepEqual(cluster.at(n4).alive.status().configuration.voters, [n1, n2, n3, n4]);
});
