import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, term } from "../../node/base/ids.ts";
import { Cluster } from "./cluster.ts";
import {
  appendRequest,
  at,
  bytes,
  configurationOf,
  electionTimeoutMs,
  entriesOf,
  entry,
  heartbeat,
  heartbeatMs,
  messagesOf,
  n1,
  n2,
  n3,
  n5,
  only,
  Solo,
} from "./support.ts";

function leaderOf(terms: readonly number[], setup: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo({ terms, ...setup });
  solo.lead(n2, ...(setup?.configuration?.voters.length === 5 ? [n3] : []));
  return solo;
}

test("Raft: one propose makes one append and one message to each follower, while the own disk writes", () => {
  const solo = leaderOf([]);
  for (const follower of [n2, n3]) solo.match(follower, 1);
  const effects = solo.propose("a", "b", "c");
  assert.deepEqual(
    effects.append.map(({ index }) => index),
    [2, 3, 4],
  );
  for (const to of [n2, n3]) assert.equal(only(messagesOf(effects, "append-request", to)).entries.length, 3);
  assert.ok(effects.messages.length === 2 && effects.messagesAfterSync.length === 0);
});

test("Raft: committed entries are handed out only once they are synced on this node", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3] }) });
  solo.sync = false;
  const appended = solo.receive(n2, appendRequest({ term: 1, entries: entriesOf([1, 1]), commit: 2 }));
  assert.equal(solo.core.status().commitIndex, 2);
  assert.equal(appended.committed.length, 0);
  const synced = solo.step({ type: "log-persisted", last: at(2, 1) });
  assert.deepEqual(
    synced.committed.map(({ index }) => index),
    [1, 2],
  );
});

test("Raft: the commit index never moves back", () => {
  const solo = new Solo();
  solo.receive(n2, appendRequest({ term: 1, entries: entriesOf([1, 1, 1]), commit: 3 }));
  solo.receive(n2, appendRequest({ term: 1, entries: entriesOf([1]), commit: 1 }));
  solo.receive(n2, heartbeat({ term: 1, commit: 2 }));
  assert.equal(solo.core.status().commitIndex, 3);
});

test("Raft: an append that begins before what is committed here is acknowledged from there", () => {
  const solo = new Solo({
    terms: [1, 1, 1],
    applied: logIndex(3),
    entries: [],
    termRuns: [at(1, 1)],
    lastIndex: logIndex(3),
    term: 1,
  });
  const answer = solo.receive(n2, appendRequest({ term: 1, previous: at(0, 0), entries: entriesOf([1, 1]) }));
  assert.deepEqual(only(messagesOf(answer, "append-response")).result, { type: "matched", matchIndex: 3 });
});

test("Raft: a sync that was reported after the log was rewritten counts for nothing", () => {
  const solo = new Solo();
  solo.sync = false;
  solo.receive(n2, appendRequest({ term: 1, entries: entriesOf([1]) }));
  solo.receive(n3, appendRequest({ term: 2, entries: entriesOf([2]) }));
  // A third leader brings the first entry again; the first sync is of another life of it.
  solo.receive(n2, appendRequest({ term: 3, entries: entriesOf([1]), commit: 1 }));
  assert.equal(solo.step({ type: "log-persisted", last: at(1, 1) }).committed.length, 0);
  assert.equal(solo.step({ type: "log-persisted", last: at(1, 2) }).committed.length, 0);
  assert.equal(solo.step({ type: "log-persisted", last: at(1, 1) }).committed.length, 1);
});

test("Raft: an acknowledgement that comes twice, late or out of order moves nothing back", () => {
  const solo = leaderOf([]);
  solo.propose("a", "b");
  for (const index of [3, 1, 3, 2]) solo.match(n2, index);
  assert.equal(solo.core.status().progress.get(n2)?.matchIndex, 3);
  assert.equal(solo.core.status().commitIndex, 3);
});

test("Raft: an acknowledgement from an older term or a stranger counts for nothing", () => {
  const solo = leaderOf([1], { term: 1 });
  const result = { type: "matched", matchIndex: logIndex(2) } as const;
  solo.receive(n2, { type: "append-response", term: term(1), result });
  solo.receive(n5, { type: "append-response", term: term(2), result });
  assert.equal(solo.core.status().commitIndex, 0);
});

test("Raft: while probing, one append is under way at a time; a match opens the window (flow control)", () => {
  const solo = leaderOf([]);
  assert.equal(messagesOf(solo.propose("a"), "append-request", n2).length, 0);
  const matched = solo.match(n2, 1);
  assert.equal(solo.core.status().progress.get(n2)?.state, "replicate");
  assert.equal(only(messagesOf(matched, "append-request", n2)).entries.length, 1);
});

test("Raft: at most maxInflightAppends are under way to one follower; an answer makes room (flow control)", () => {
  const solo = leaderOf([], { maxInflightAppends: 3 });
  solo.match(n2, 1);
  let sent = 0;
  for (let count = 0; count < 10; count += 1) sent += messagesOf(solo.propose("a"), "append-request", n2).length;
  assert.equal(sent, 3);
  const more = messagesOf(solo.match(n2, 2), "append-request", n2);
  assert.ok(only(more).entries.length === 7);
});

test("Raft: an append carries at most maxAppendBytes, but always one entry (flow control)", () => {
  const solo = leaderOf([], { maxAppendBytes: 300 });
  solo.match(n2, 1);
  const requests = messagesOf(solo.propose(...Array.from({ length: 6 }, () => "x".repeat(100))), "append-request", n2);
  assert.deepEqual(
    requests.map(({ entries }) => entries.length),
    [2, 2, 2],
  );
  assert.equal(only(messagesOf(solo.propose("y".repeat(1000)), "append-request", n2)).entries.length, 1);
});

test("Raft: proposals beyond the uncommitted limit are refused until something commits; one always fits (flow control)", () => {
  const solo = leaderOf([], { maxUncommittedBytes: 1000 });
  solo.match(n2, 1);
  assert.equal(solo.propose("x".repeat(5000)).refusedProposals, undefined);
  const refused = solo.propose("y");
  assert.deepEqual([refused.refusedProposals, refused.append.length], ["too-many-uncommitted", 0]);
  solo.match(n2, 2);
  assert.equal(solo.propose("y").refusedProposals, undefined);
});

test("Raft: proposals to anybody but a leader are refused", () => {
  const solo = new Solo({ terms: [1] });
  assert.equal(solo.propose("a").refusedProposals, "not-leader");
  solo.receive(n2, heartbeat({ term: 1 }));
  assert.equal(solo.propose("a").refusedProposals, "not-leader");
  assert.equal(solo.propose().refusedProposals, undefined);
});

test("Raft: a lost append is found out by the next heartbeat's answer and sent again", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.run(3 * heartbeatMs);
  cluster.filter = ({ to, message }) => !(to === n3 && message.type === "append-request");
  for (let count = 0; count < 20; count += 1) cluster.propose(n1, `p${count}`);
  cluster.settle();
  cluster.filter = () => true;
  cluster.run(4 * heartbeatMs);
  assert.deepEqual(cluster.logOf(n3), cluster.logOf(n1));
});

test("Raft: followers learn of a commit at once, not with the next heartbeat", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.run(3 * heartbeatMs);
  cluster.propose(n1, "a");
  cluster.settle();
  assert.deepEqual(
    cluster.running.map(({ alive }) => alive.status().applied),
    [2, 2, 2],
  );
});

test("Raft: what a follower needs from disk is loaded, once at a time, and sent", () => {
  const terms = [1, 1, 1, 1];
  const solo = leaderOf(terms, {
    applied: logIndex(4),
    entries: [],
    termRuns: [at(1, 1)],
    lastIndex: logIndex(4),
    term: 1,
  });
  const hint = at(1, 1);
  const rejected = { type: "rejected", previousIndex: logIndex(4), hint } as const;
  const asked = solo.receive(n2, { type: "append-response", term: term(2), result: rejected });
  assert.deepEqual(only(asked.loads), { to: n2, from: 2, maxBytes: 1 << 16 });
  assert.equal(solo.propose("a").loads.length, 0);
  const stale = solo.step({ type: "entries-loaded", to: n2, entries: entriesOf([1, 1], 3) });
  const foreign = solo.step({ type: "entries-loaded", to: n2, entries: [entry(2, 9)] });
  assert.equal(stale.messages.length + foreign.messages.length, 0);
  const answered = solo.step({ type: "entries-loaded", to: n2, entries: entriesOf([1, 1, 1], 2) });
  const request = only(messagesOf(answered, "append-request", n2));
  assert.deepEqual([request.previous, request.entries.length], [at(1, 1), 3]);
});

test("Raft: entries that do not come back from disk within an election timeout are asked for again", () => {
  const solo = leaderOf([1, 1], {
    applied: logIndex(2),
    entries: [],
    termRuns: [at(1, 1)],
    lastIndex: logIndex(2),
    term: 1,
  });
  assert.equal(solo.match(n2, 1).loads.length, 1);
  const answer = () => solo.receive(n2, { type: "heartbeat-response", term: term(2), round: 0 });
  solo.passMs(electionTimeoutMs - 1);
  assert.equal(answer().loads.length, 0);
  solo.passMs(1);
  assert.deepEqual(only(answer().loads), { to: n2, from: 2, maxBytes: 1 << 16 });
});

test("Raft: a message from itself, and a sync of what it never appended, change nothing", () => {
  const solo = leaderOf([]);
  const before = solo.core.status();
  solo.receive(n1, appendRequest({ term: 9, entries: entriesOf([9]) }));
  solo.step({ type: "log-persisted", last: at(7, 1) });
  assert.deepEqual(solo.core.status(), before);
});

test("Raft: applied entries are forgotten beyond maxCachedBytes, and loaded when needed", () => {
  const solo = leaderOf([], { maxCachedBytes: 200 });
  solo.match(n2, 1);
  for (let count = 0; count < 10; count += 1) solo.propose("x".repeat(68));
  solo.match(n2, 11);
  const applied = solo.step({ type: "applied", index: logIndex(11) });
  assert.equal(applied.loads.length, 0);
  const asked = solo.match(n3, 1);
  assert.deepEqual(only(asked.loads), { to: n3, from: 2, maxBytes: 1 << 16 });
});

test("Raft: entries that were not applied yet are kept however many bytes they are", () => {
  const solo = leaderOf([], { maxCachedBytes: 200 });
  solo.match(n2, 1);
  for (let count = 0; count < 10; count += 1) solo.propose("x".repeat(68));
  solo.match(n2, 11);
  const sent = solo.match(n3, 1);
  assert.equal(sent.loads.length, 0);
  assert.equal(messagesOf(sent, "append-request", n3).flatMap(({ entries }) => entries).length, 10);
});

test("Raft: a broken connection makes the leader probe again from what is known", () => {
  const solo = leaderOf([]);
  solo.match(n2, 1);
  solo.propose("a");
  const probed = solo.step({ type: "peer-refused", peer: n2 });
  assert.equal(solo.core.status().progress.get(n2)?.state, "probe");
  assert.deepEqual(only(messagesOf(probed, "append-request", n2)).previous, at(1, 1));
});

test("Raft: an idle node is due only for its heartbeat or its election", () => {
  const leader = leaderOf([]);
  leader.match(n2, 1);
  assert.ok(leader.core.deadlineMs - leader.nowMs <= heartbeatMs);
  const follower = new Solo();
  follower.receive(n2, heartbeat({ term: 1 }));
  assert.ok(follower.core.deadlineMs - follower.nowMs >= electionTimeoutMs);
  const alone = new Solo({ configuration: configurationOf({ voters: [n1] }) });
  assert.equal(alone.core.deadlineMs, Number.POSITIVE_INFINITY);
});

test("Raft: two leaders in one term end the process", () => {
  const solo = new Solo();
  solo.receive(n2, heartbeat({ term: 1 }));
  assert.throws(() => solo.receive(n3, heartbeat({ term: 1 })), { name: "InvariantError" });
});

test("Raft: entries keep the bytes and the kind they were proposed with", () => {
  const solo = leaderOf([]);
  const [proposed] = solo.propose("héllo").append;
  assert.deepEqual([proposed?.kind, proposed?.data], ["command", bytes("héllo")]);
});
