import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, term } from "../../node/base/ids.ts";
import { Cluster } from "./cluster.ts";
import {
  appendRequest,
  at,
  configurationOf,
  electionTimeoutMs,
  entriesOf,
  heartbeat,
  heartbeatMs,
  messagesOf,
  n1,
  n2,
  n3,
  only,
  type Setup,
  Solo,
  voteRequest,
} from "./support.ts";

/** n1 acknowledged up to `promised` in its term, and holds `terms` of it. */
function doubtful(terms: readonly number[], promised: number | undefined, setup: Setup = {}): Solo {
  const promisedIndex = promised === undefined ? undefined : logIndex(promised);
  return new Solo({ terms, lostPromises: true, promisedIndex, ...setup });
}

test("Recovery: what was applied before a restart is not handed out again, the rest is, once it is known committed", () => {
  const entries = entriesOf([1, 1], 3);
  const solo = new Solo({ entries, termRuns: [at(1, 1)], lastIndex: logIndex(4), applied: logIndex(2), term: 1 });
  assert.equal(solo.core.status().commitIndex, 2);
  const effects = solo.receive(n2, heartbeat({ term: 1, commit: 4 }));
  assert.deepEqual(
    effects.committed.map(({ index }) => index),
    [3, 4],
  );
});

test("Recovery: a whole group that restarts elects a leader in a new term", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.run(3 * heartbeatMs);
  for (const id of [n1, n2, n3]) cluster.crash(id);
  for (const id of [n1, n2, n3]) cluster.restart(id);
  cluster.runUntil(() => cluster.leader !== undefined, 10 * electionTimeoutMs);
  assert.equal(cluster.leader?.alive.status().term, 2);
});

test("LostPromises: the node neither votes nor grants pre-votes", () => {
  const solo = doubtful([1], 2);
  const preVote = solo.receive(n2, { type: "pre-vote-request", term: term(2), last: at(9, 9) });
  assert.equal(only(messagesOf(preVote, "pre-vote-response")).granted, false);
  const vote = solo.receive(n2, voteRequest({ term: 2, last: at(9, 9) }));
  assert.equal(only(messagesOf(vote, "vote-response")).granted, false);
});

test("LostPromises: the node stands for no election, not even when asked to or alone", () => {
  const solo = doubtful([1], 2);
  for (let ticks = 0; ticks < 3; ticks += 1) assert.equal(solo.tick().messages.length, 0);
  solo.receive(n2, { type: "timeout-now", term: term(1) });
  assert.equal(solo.core.status().role, "follower");
  const alone = doubtful([1], 2, { configuration: configurationOf({ voters: [n1] }) });
  assert.equal(alone.core.status().role, "follower");
});

test("LostPromises: in the same term it votes again only from the last index it ever acknowledged on", () => {
  const solo = doubtful([1, 1], 5);
  solo.receive(n2, appendRequest({ term: 1, previous: at(2, 1), entries: entriesOf([1, 1], 3), commit: 4 }));
  assert.equal(solo.core.status().lostPromises, true, "the leader may count it for 5");
  solo.receive(n2, appendRequest({ term: 1, previous: at(4, 1), entries: entriesOf([1], 5), commit: 4 }));
  assert.equal(solo.core.status().lostPromises, false);
});

test("LostPromises: in a later term one synced entry of that leader is enough, and it must be synced", () => {
  const solo = doubtful([1, 1], 5);
  solo.sync = false;
  solo.receive(n2, appendRequest({ term: 3, previous: at(2, 1), entries: entriesOf([1, 3], 3) }));
  assert.equal(solo.core.status().lostPromises, true);
  solo.step({ type: "log-persisted", last: at(4, 3) });
  assert.equal(solo.core.status().lostPromises, false);
});

test("LostPromises: a later term alone is not enough: the leader's entries up to its own must be here", () => {
  const solo = doubtful([1, 1], 5);
  solo.receive(n2, appendRequest({ term: 3, previous: at(2, 1), entries: entriesOf([1], 3) }));
  assert.equal(solo.core.status().lostPromises, true);
});

test("LostPromises: where even the promises are unknown, it makes the first leader it hears step down, once", () => {
  const solo = doubtful([1, 1], undefined);
  const answered = solo.receive(n2, heartbeat({ term: 2, round: 1 }));
  assert.deepEqual(answered.hardState, { term: 3, votedFor: undefined });
  const refusal = only(messagesOf(answered, "append-response"));
  assert.equal(refusal.term, 3);
  assert.equal(refusal.result.type, "rejected");
  solo.receive(n3, appendRequest({ term: 4, previous: at(2, 1), entries: [] }));
  assert.equal(solo.core.status().term, 4, "the next leader is followed");
  assert.equal(solo.core.status().lostPromises, true, "and settles nothing before an entry of its own is synced");
  solo.receive(n3, appendRequest({ term: 4, previous: at(2, 1), entries: entriesOf([4], 3) }));
  assert.equal(solo.core.status().lostPromises, false);
});

test("LostPromises: a group with one record of promises in doubt elects anew by itself, and the node counts again", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.run(3 * heartbeatMs);
  cluster.crash(n3);
  cluster.at(n3).disk.lostPromises = true;
  cluster.at(n3).disk.promised = undefined;
  cluster.restart(n3);
  cluster.run(10 * electionTimeoutMs);
  assert.equal(cluster.at(n3).alive.status().lostPromises, false);
  assert.notEqual(cluster.leader, undefined);
});

test("LostPromises: until then it acknowledges only what is committed, and everything once it is settled", () => {
  const solo = doubtful([1, 1], 5);
  const matchOf = (effects: ReturnType<Solo["step"]>) =>
    messagesOf(effects, "append-response").map(({ result }) => (result.type === "matched" ? result.matchIndex : -1));
  const some = appendRequest({ term: 1, previous: at(2, 1), entries: entriesOf([1, 1], 3), commit: 3 });
  assert.deepEqual(matchOf(solo.receive(n2, some)), [3]);
  const rest = appendRequest({ term: 1, previous: at(4, 1), entries: entriesOf([1], 5), commit: 3 });
  assert.deepEqual(matchOf(solo.receive(n2, rest)), [3, 5]);
});

test("LostPromises: it confirms no read round", () => {
  const solo = doubtful([1], 5);
  const answer = only(messagesOf(solo.receive(n2, heartbeat({ term: 1, round: 4 })), "heartbeat-response"));
  assert.equal(answer.round, 0);
});

test("LostPromises: an idle leader that believes in the lost entries sends them again", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.run(3 * heartbeatMs);
  cluster.at(n3).appliesAtOnce = false;
  for (let count = 0; count < 5; count += 1) cluster.propose(n1, `p${count}`);
  cluster.run(2 * heartbeatMs);
  cluster.at(n3).crashAndLose(3);
  cluster.restart(n3);
  assert.equal(cluster.at(n3).alive.status().lostPromises, true);
  cluster.run(6 * heartbeatMs);
  assert.deepEqual(cluster.logOf(n3), cluster.logOf(n1));
  assert.equal(cluster.at(n3).alive.status().lostPromises, false);
});

test("LostPromises: an entry committed by counting the node survives its loss", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.run(3 * heartbeatMs);
  cluster.cut(n2);
  cluster.at(n3).appliesAtOnce = false;
  cluster.propose(n1, "acked");
  cluster.settle();
  assert.equal(cluster.at(n1).alive.status().commitIndex, 2);
  // n3 held the only other copy. It forgets, n1 is away, and n2, which never saw the entry, wants to lead.
  cluster.at(n3).crashAndLose(1);
  cluster.crash(n1);
  cluster.heal();
  cluster.at(n3).appliesAtOnce = true;
  cluster.restart(n3);
  cluster.run(10 * electionTimeoutMs);
  assert.equal(cluster.leader, undefined);
  cluster.restart(n1);
  cluster.runUntil(() => cluster.running.every(({ alive }) => alive.status().applied >= 3), 20 * electionTimeoutMs);
  assert.ok(cluster.running.every(({ id }) => cluster.logOf(id)[1] === "2@1:acked"));
});
