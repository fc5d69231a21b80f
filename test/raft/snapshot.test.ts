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
  entry,
  heartbeatMs,
  messagesOf,
  n1,
  n2,
  n3,
  n4,
  only,
  Solo,
} from "./support.ts";

const configuration = configurationOf({ voters: [n1, n2, n3] });

/** n1 leads; n3 was cut off while `count` entries were committed, applied and trimmed. */
function behindTheTrimmedLog(count = 10): Cluster {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.run(3 * heartbeatMs);
  cluster.cut(n3);
  for (let proposed = 0; proposed < count; proposed += 1) cluster.propose(n1, `p${proposed}`);
  cluster.run(heartbeatMs);
  for (const id of [n1, n2]) cluster.at(id).trim(logIndex(count));
  cluster.heal();
  return cluster;
}

test("Snapshot: a follower behind the trimmed log is asked to pull one, installs it, and replicates on", () => {
  const cluster = behindTheTrimmedLog();
  cluster.run(4 * heartbeatMs);
  assert.deepEqual(cluster.at(n3).snapshotNeeded, { from: n1, position: at(10, 1) });
  assert.equal(cluster.at(n1).alive.status().progress.get(n3)?.state, "snapshot");
  cluster.at(n3).installSnapshotOf(cluster.at(n1));
  cluster.propose(n1, "after");
  cluster.run(heartbeatMs);
  assert.equal(cluster.at(n1).alive.status().progress.get(n3)?.state, "replicate");
  assert.deepEqual([cluster.at(n3).alive.status().applied, cluster.at(n3).disk.base], [12, at(11, 1)]);
});

test("Snapshot: a peer that cannot be reached, or never installs, does not hold up the others", () => {
  const cluster = behindTheTrimmedLog();
  cluster.run(4 * heartbeatMs);
  cluster.propose(n1, "a");
  cluster.settle();
  assert.equal(cluster.at(n2).alive.status().applied, 12);
});

test("Snapshot: it is asked for again each election timeout, not with each heartbeat", () => {
  const cluster = behindTheTrimmedLog();
  cluster.run(10 * electionTimeoutMs);
  const asked = cluster.sent.filter(({ to, message }) => to === n3 && message.type === "install-snapshot-request");
  assert.ok(asked.length >= 8 && asked.length <= 11, `${asked.length} times`);
  assert.equal(cluster.leader?.id, n1, "the follower that pulls keeps hearing its leader");
});

test("Snapshot: a crash while receiving begins anew", () => {
  const cluster = behindTheTrimmedLog();
  cluster.run(4 * heartbeatMs);
  cluster.crash(n3);
  cluster.restart(n3);
  cluster.run(2 * electionTimeoutMs);
  cluster.at(n3).installSnapshotOf(cluster.at(n1));
  cluster.run(heartbeatMs);
  assert.equal(cluster.at(n3).alive.status().applied, 11);
});

test("Snapshot: a crash between its install and the reset of the log begins at the snapshot", () => {
  const cluster = behindTheTrimmedLog();
  cluster.run(4 * heartbeatMs);
  cluster.at(n3).installSnapshotOf(cluster.at(n1));
  cluster.crash(n3);
  cluster.restart(n3);
  assert.deepEqual(cluster.at(n3).alive.status().last, at(11, 1));
  cluster.run(2 * electionTimeoutMs);
  cluster.propose(n1, "after");
  cluster.settle();
  assert.equal(cluster.at(n3).alive.status().applied, 12);
});

test("Snapshot: a second one before the first is stored: the newer request counts, the older install is enough where the log goes on", () => {
  const cluster = behindTheTrimmedLog();
  cluster.run(4 * heartbeatMs);
  const older = { position: at(11, 1), configuration } as const;
  for (let proposed = 0; proposed < 5; proposed += 1) cluster.propose(n1, `q${proposed}`);
  cluster.run(heartbeatMs);
  cluster.at(n1).trim(logIndex(13));
  cluster.run(2 * electionTimeoutMs);
  assert.deepEqual(cluster.at(n3).snapshotNeeded?.position, at(13, 1));
  cluster.at(n3).disk.applied = older.position;
  cluster.step(n3, { type: "snapshot-installed", ...older });
  cluster.run(2 * electionTimeoutMs);
  assert.deepEqual(cluster.at(n3).snapshotNeeded?.position, at(13, 1), "11 is trimmed at the leader");
  cluster.at(n3).installSnapshotOf(cluster.at(n1));
  cluster.run(heartbeatMs);
  assert.equal(cluster.at(n3).alive.status().applied, 16);
});

test("Snapshot: a request for what is here already is acknowledged, not pulled", () => {
  const solo = new Solo({ terms: [1, 1, 1] });
  const request = { type: "install-snapshot-request", term: term(1), snapshot: at(2, 1) } as const;
  const effects = solo.receive(n2, request);
  assert.equal(effects.snapshotNeeded, undefined);
  assert.deepEqual(only(messagesOf(effects, "append-response")).result, { type: "matched", matchIndex: 2 });
  assert.equal(solo.core.status().commitIndex, 2);
});

test("Snapshot: a request of an older term is refused", () => {
  const solo = new Solo({ term: 5 });
  const request = { type: "install-snapshot-request", term: term(4), snapshot: at(2, 1) } as const;
  assert.equal(solo.receive(n2, request).snapshotNeeded, undefined);
});

test("Snapshot: a log without the snapshot's entry is reset to it; the configuration is the snapshot's", () => {
  const solo = new Solo({ terms: [1, 1, 1] });
  solo.receive(n2, { type: "install-snapshot-request", term: term(4), snapshot: at(3, 3) });
  const next = configurationOf({ voters: [n1, n2, n3], learners: [n4] });
  const effects = solo.step({ type: "snapshot-installed", position: at(3, 3), configuration: next });
  assert.deepEqual(effects.resetLog, at(3, 3));
  assert.deepEqual(only(messagesOf(effects, "append-response")).result, { type: "matched", matchIndex: 3 });
  const { last, commitIndex, configuration: current } = solo.core.status();
  assert.deepEqual([last, commitIndex, current], [at(3, 3), 3, next]);
  const appended = solo.receive(
    n2,
    appendRequest({ term: 4, previous: at(3, 3), entries: entriesOf([4], 4), commit: 4 }),
  );
  assert.deepEqual(
    appended.committed.map(({ index }) => index),
    [4],
  );
});

test("Snapshot: a log that holds the snapshot's entry is kept, and what follows it", () => {
  const solo = new Solo({ terms: [1, 1, 2, 2] });
  const effects = solo.step({ type: "snapshot-installed", position: at(3, 2), configuration });
  assert.equal(effects.resetLog, undefined);
  assert.equal(effects.committed.length, 0, "the snapshot stands for them");
  const { last, commitIndex, applied } = solo.core.status();
  assert.deepEqual([last, commitIndex, applied], [at(4, 2), 3, 3]);
});

test("Snapshot: one that is older than what is applied changes nothing", () => {
  const solo = new Solo();
  solo.receive(n2, appendRequest({ term: 1, entries: entriesOf([1, 1, 1]), commit: 3 }));
  const effects = solo.step({ type: "snapshot-installed", position: at(2, 1), configuration });
  assert.deepEqual([effects.resetLog, effects.append.length, solo.core.status().last], [undefined, 0, at(3, 1)]);
});

test("Snapshot: a sync reported for the log before a reset counts for nothing after it", () => {
  const solo = new Solo();
  solo.sync = false;
  solo.receive(n2, appendRequest({ term: 1, entries: entriesOf([1, 1, 1, 1]) }));
  solo.step({ type: "snapshot-installed", position: at(3, 2), configuration });
  solo.receive(n2, appendRequest({ term: 2, previous: at(3, 2), entries: entriesOf([2], 4), commit: 4 }));
  assert.equal(solo.step({ type: "log-persisted", last: at(4, 1) }).committed.length, 0);
  assert.equal(solo.step({ type: "log-persisted", last: at(4, 2) }).committed.length, 1);
});

test("Snapshot: terms up to a trimmed base are forgotten, those after it are known", () => {
  const solo = new Solo();
  solo.receive(n2, appendRequest({ term: 3, entries: entriesOf([1, 1, 2, 3]), commit: 4 }));
  solo.step({ type: "applied", index: logIndex(4) });
  solo.step({ type: "trimmed", through: logIndex(2) });
  const answer = solo.receive(n2, appendRequest({ term: 3, previous: at(4, 3), entries: entriesOf([3], 5) }));
  assert.deepEqual(only(messagesOf(answer, "append-response")).result, { type: "matched", matchIndex: 5 });
});

test("Snapshot: a leader that installs one keeps leading, and its log", () => {
  const solo = new Solo({ maxUncommittedBytes: 1000 });
  solo.lead(n2);
  solo.sync = false;
  solo.propose("x".repeat(600));
  solo.match(n2, 2);
  solo.match(n3, 2);
  assert.equal(solo.propose("y".repeat(600)).refusedProposals, undefined);
  const effects = solo.step({ type: "snapshot-installed", position: at(2, 1), configuration });
  const { role, last, commitIndex, applied } = solo.core.status();
  assert.deepEqual([effects.resetLog, role, last, commitIndex, applied], [undefined, "leader", at(3, 1), 2, 2]);
  assert.equal(solo.propose("z".repeat(600)).refusedProposals, "too-many-uncommitted");
});

test("Snapshot: what one commits for a leader counts no more among the uncommitted bytes", () => {
  const solo = new Solo({ entries: [entry(1, 1, "x".repeat(600))], term: 1, maxUncommittedBytes: 1000 });
  solo.lead(n2);
  assert.equal(solo.propose("y".repeat(600)).refusedProposals, "too-many-uncommitted");
  solo.step({ type: "snapshot-installed", position: at(1, 1), configuration });
  assert.equal(solo.propose("y".repeat(600)).refusedProposals, undefined);
});

test("Snapshot: a log that was trimmed further already stays as it is", () => {
  const solo = new Solo();
  solo.receive(n2, appendRequest({ term: 1, entries: entriesOf([1, 1, 1]), commit: 3 }));
  solo.step({ type: "applied", index: logIndex(3) });
  for (const through of [2, 1]) solo.step({ type: "trimmed", through: logIndex(through) });
  const answer = solo.receive(n2, appendRequest({ term: 1, previous: at(3, 1), entries: entriesOf([1], 4) }));
  assert.deepEqual(only(messagesOf(answer, "append-response")).result, { type: "matched", matchIndex: 4 });
});

test("Snapshot: a log that begins behind it says that it agrees up to there, not less", () => {
  const solo = new Solo();
  solo.step({ type: "snapshot-installed", position: at(5, 3), configuration });
  const answer = solo.receive(n2, appendRequest({ term: 4, previous: at(8, 2) }));
  const { result } = only(messagesOf(answer, "append-response"));
  assert.deepEqual(result, { type: "rejected", previousIndex: 8, hint: at(5, 3) });
});

test("Snapshot: a leader that was deposed without hearing of it steps down for one that its log does not hold", () => {
  // It began to pull while it followed; the snapshot shows what a later leader has committed, in a later term or a former one.
  for (const [position, termAfter] of [
    [at(9, 4), 4],
    [at(9, 1), 2],
  ] as const) {
    const solo = new Solo({ terms: [1] });
    solo.lead(n2);
    solo.step({ type: "read", position: 1 });
    const effects = solo.step({ type: "snapshot-installed", position, configuration });
    assert.deepEqual(effects.resetLog, position);
    assert.deepEqual(effects.leadership, { role: "follower", term: termAfter, leader: undefined });
    assert.deepEqual(effects.refusedReads, [1]);
    const { last, commitIndex, applied } = solo.core.status();
    assert.deepEqual([last, commitIndex, applied], [position, 9, 9]);
  }
});

test("Snapshot: a follower that installs one of a later term is in that term from then on", () => {
  const solo = new Solo({ terms: [1] });
  const effects = solo.step({ type: "snapshot-installed", position: at(9, 4), configuration });
  assert.deepEqual(effects.hardState, { term: 4, votedFor: undefined });
  assert.deepEqual(
    messagesOf(solo.campaign(), "pre-vote-request").map((request) => [request.term, request.last]),
    [
      [5, at(9, 4)],
      [5, at(9, 4)],
    ],
  );
});

test("Snapshot: one that contradicts the leader's log in the leader's own term ends the process", () => {
  const solo = new Solo({ terms: [1] });
  solo.lead(n2);
  const own = { type: "snapshot-installed", position: at(9, 2), configuration } as const;
  assert.throws(() => solo.step(own), { name: "InvariantError" });
});
