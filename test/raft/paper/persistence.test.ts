import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../../node/base/ids.ts";
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
  only,
  Solo,
  voteRequest,
} from "../support.ts";

// Raft figure 2: term, vote and log are on stable storage before anything that depends on them is said.

test("Raft figure 2: a vote leaves only after it is synced", () => {
  const effects = new Solo().receive(n2, voteRequest({ term: 1, last: at(0, 0) }));
  assert.equal(effects.messages.length, 0);
  assert.equal(only(effects.messagesAfterSync).message.type, "vote-response");
});

test("Raft figure 2: a candidate asks for votes only after its own is synced", () => {
  const solo = new Solo({ terms: [1] });
  solo.campaign();
  const stood = solo.receive(n2, { type: "pre-vote-response", term: term(2), granted: true });
  assert.equal(stood.messages.length, 0);
  assert.equal(messagesOf(stood, "vote-request").length, 2);
});

test("Raft figure 2: an acknowledgement leaves only after the entries it speaks of are synced", () => {
  const effects = new Solo().receive(n2, appendRequest({ term: 1, entries: entriesOf([1]) }));
  assert.equal(effects.messages.length, 0);
  assert.equal(only(effects.messagesAfterSync).message.type, "append-response");
});

test("Raft figure 2: a leader counts its own disk only once it has synced", () => {
  const solo = new Solo();
  solo.lead(n2);
  solo.match(n2, 1);
  solo.sync = false;
  solo.propose("a");
  solo.match(n2, 2);
  assert.equal(solo.core.status().commitIndex, 1);
  solo.step({ type: "log-persisted", last: at(2, 1) });
  assert.equal(solo.core.status().commitIndex, 2);
});

test("Raft figure 2: a single voter, whose term nobody else wrote down, announces itself only after its own sync", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1], learners: [n2] }) });
  assert.deepEqual([solo.core.status().role, solo.core.status().commitIndex], ["leader", 1]);
  for (const { messages } of solo.seen) assert.equal(messages.length, 0);
  assert.ok(solo.seen.some(({ messagesAfterSync }) => messagesAfterSync.length > 0));
});

test("Raft figure 2: a crash of everybody before the sync loses only what nobody was promised", () => {
  const cluster = ledCluster();
  cluster.propose(n1, "acked");
  cluster.settle();
  for (const id of [n1, n2, n3]) cluster.heldDisks.add(id);
  cluster.propose(n1, "unsynced");
  cluster.settle();
  for (const id of [n1, n2, n3]) cluster.crash(id);
  cluster.heldDisks.clear();
  for (const id of [n1, n2, n3]) cluster.restart(id);
  cluster.runUntil(() => cluster.leader !== undefined, 10 * electionTimeoutMs);
  cluster.run(2 * heartbeatMs);
  for (const id of [n1, n2, n3]) assert.deepEqual(cluster.logOf(id), ["1@1:", "2@1:acked", "3@2:"]);
});

test("Raft figure 2: commit and applied index begin where the catalog stands, and the leader tells the rest", () => {
  const cluster = ledCluster();
  cluster.at(n3).appliesAtOnce = false;
  cluster.propose(n1, "a", "b");
  cluster.run(3 * heartbeatMs);
  cluster.crash(n3);
  cluster.at(n3).appliesAtOnce = true;
  cluster.restart(n3);
  assert.equal(cluster.at(n3).alive.status().commitIndex, 1);
  cluster.run(3 * heartbeatMs);
  assert.equal(cluster.at(n3).alive.status().applied, 3);
});
