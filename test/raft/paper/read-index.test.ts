import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, term } from "../../../node/base/ids.ts";
import { ledCluster } from "../led.ts";
import {
  configurationOf,
  electionTimeoutMs,
  heartbeat,
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

function readyLeader(): Solo {
  const solo = new Solo();
  solo.lead(n2);
  solo.match(n2, 1);
  return solo;
}

function confirm(solo: Solo, from: typeof n2, round: number) {
  return solo.receive(from, { type: "heartbeat-response", term: solo.term, round });
}

test("ReadIndex §6.4: a read is confirmed at the commit index by a quorum's answers, not before", () => {
  const solo = readyLeader();
  const asked = solo.step({ type: "read", position: 7 });
  assert.equal(asked.confirmedReads.length, 0);
  const [request] = messagesOf(asked, "heartbeat-request", n2);
  assert.ok(request !== undefined);
  assert.deepEqual(confirm(solo, n2, request.round).confirmedReads, [{ position: 7, readIndex: 1 }]);
  assert.equal(confirm(solo, n3, request.round).confirmedReads.length, 0);
});

test("ReadIndex §6.4: a read that comes before an entry of the own term is committed waits for it", () => {
  const solo = new Solo({ terms: [1] });
  solo.lead(n2);
  assert.equal(messagesOf(solo.step({ type: "read", position: 1 }), "heartbeat-request").length, 0);
  confirm(solo, n2, 0);
  const committed = solo.match(n2, 2);
  const [request] = messagesOf(committed, "heartbeat-request", n2).filter(({ round }) => round === 1);
  assert.ok(request !== undefined);
  assert.deepEqual(confirm(solo, n2, 1).confirmedReads, [{ position: 1, readIndex: 2 }]);
});

test("ReadIndex §6.4: reads that arrive during a round share the next one", () => {
  const solo = readyLeader();
  solo.step({ type: "read", position: 1 });
  for (const position of [2, 3, 4])
    assert.equal(solo.step({ type: "read", position }).messages.length, 0, "no round of its own");
  const first = confirm(solo, n2, 1);
  assert.deepEqual(
    first.confirmedReads.map(({ position }) => position),
    [1],
  );
  assert.equal(only(messagesOf(first, "heartbeat-request", n2)).round, 2);
  assert.deepEqual(
    confirm(solo, n3, 2).confirmedReads.map(({ position }) => position),
    [2, 3, 4],
  );
});

test("ReadIndex §6.4: an answer to an older round, late or doubled, confirms no later read", () => {
  const solo = readyLeader();
  solo.step({ type: "read", position: 1 });
  confirm(solo, n2, 1);
  solo.step({ type: "read", position: 2 });
  for (let copy = 0; copy < 3; copy += 1) assert.equal(confirm(solo, n3, 1).confirmedReads.length, 0);
  assert.equal(confirm(solo, n3, 2).confirmedReads.length, 1);
});

test("ReadIndex §6.4: an answer of an older term confirms nothing", () => {
  const solo = new Solo({ terms: [4], term: 4 });
  solo.lead(n2);
  solo.match(n2, 2);
  solo.step({ type: "read", position: 1 });
  assert.equal(solo.receive(n2, { type: "heartbeat-response", term: term(4), round: 1 }).confirmedReads.length, 0);
});

test("ReadIndex §6.4: learners do not confirm, and a joint configuration needs both majorities", () => {
  const configuration = configurationOf({ voters: [n1, n3], learners: [n2, n4, n5] });
  const solo = new Solo({ configuration });
  solo.lead(n3);
  for (const follower of [n2, n3]) solo.match(follower, 1);
  confirm(solo, n2, 0);
  solo.step({ type: "change-membership", voters: [n1, n2], learners: [n4, n5] });
  solo.step({ type: "read", position: 1 });
  for (const other of [n4, n5, n2]) assert.equal(confirm(solo, other, 1).confirmedReads.length, 0);
  assert.equal(confirm(solo, n3, 1).confirmedReads.length, 1);
});

test("ReadIndex §6.4: a single voter confirms at once", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1] }) });
  assert.deepEqual(solo.step({ type: "read", position: 1 }).confirmedReads, [{ position: 1, readIndex: 1 }]);
});

test("ReadIndex §6.4: followers and learners read through the leader", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  cluster.propose(n1, "a");
  cluster.settle();
  for (const reader of [n2, n4]) {
    const position = cluster.read(reader);
    cluster.settle();
    assert.deepEqual(cluster.at(reader).confirmedReads, [{ position, readIndex: 2 }]);
  }
});

test("ReadIndex §6.4: a read without a known leader is refused at once", () => {
  assert.deepEqual(new Solo().step({ type: "read", position: 5 }).refusedReads, [5]);
});

test("ReadIndex §6.4: a read sent to a node that leads no more is refused there, and surfaces as refused", () => {
  const former = new Solo({ term: 1 });
  const answer = only(
    messagesOf(former.receive(n2, { type: "read-index-request", term: term(1), position: 3 }), "read-index-response"),
  );
  assert.equal(answer.readIndex, undefined);
  const door = new Solo({ id: n2, term: 1 });
  door.receive(n1, heartbeat({ term: 1 }));
  door.step({ type: "read", position: 3 });
  assert.deepEqual(door.receive(n1, answer).refusedReads, [3]);
});

test("ReadIndex §6.4: reads that wait when leadership is lost are refused, those of other doors too", () => {
  const solo = readyLeader();
  solo.step({ type: "read", position: 1 });
  solo.receive(n3, { type: "read-index-request", term: solo.term, position: 9 });
  const deposed = solo.receive(n2, heartbeat({ term: 5 }));
  assert.deepEqual(deposed.refusedReads, [1]);
  assert.deepEqual(only(messagesOf(deposed, "read-index-response", n3)).readIndex, undefined);
});

test("ReadIndex §6.4: a door's reads are refused when the leader changes or its process is gone", () => {
  const door = new Solo();
  door.receive(n2, heartbeat({ term: 1 }));
  door.step({ type: "read", position: 1 });
  assert.deepEqual(door.receive(n3, heartbeat({ term: 2 })).refusedReads, [1]);
  door.step({ type: "read", position: 2 });
  assert.deepEqual(door.step({ type: "peer-refused", peer: n3 }).refusedReads, [2]);
});

test("ReadIndex §6.4: a lost answer is asked for again, and the read refused after an election timeout", () => {
  const door = new Solo();
  door.receive(n2, heartbeat({ term: 1 }));
  door.step({ type: "read", position: 1 });
  const refused: number[] = [];
  let asked = 0;
  for (let beats = 0; beats < 12 && refused.length === 0; beats += 1) {
    door.receive(n2, heartbeat({ term: 1 }));
    const effects = door.tick();
    asked += messagesOf(effects, "read-index-request", n2).length;
    refused.push(...effects.refusedReads);
  }
  assert.ok(asked >= 5, `asked again ${asked} times`);
  assert.deepEqual(refused, [1]);
  assert.ok(door.core.deadlineMs - door.nowMs > heartbeatMs, "nothing is left to resend");
});

test("ReadIndex §6.4: a request that comes twice is answered once a round, and a late answer is ignored", () => {
  const solo = readyLeader();
  const request = { type: "read-index-request", term: solo.term, position: 4 } as const;
  solo.receive(n3, request);
  solo.receive(n3, request);
  const confirmed = confirm(solo, n2, 1);
  const answer = only(messagesOf(confirmed, "read-index-response", n3));
  assert.deepEqual([answer.position, answer.readIndex], [4, 1]);
  const door = new Solo({ id: n3, term: 1 });
  door.receive(n1, heartbeat({ term: 1 }));
  door.step({ type: "read", position: 4 });
  assert.equal(door.receive(n1, answer).confirmedReads.length, 1);
  assert.equal(door.receive(n1, answer).confirmedReads.length, 0);
});

test("ReadIndex §6.4: a leader that was paused while another was elected confirms no read", () => {
  const cluster = ledCluster();
  cluster.cut(n1);
  for (const other of [n2, n3]) cluster.step(other, { type: "peer-refused", peer: n1 });
  cluster.runUntil(() => cluster.leader !== undefined && cluster.leader.id !== n1, electionTimeoutMs);
  cluster.propose(cluster.leader?.id ?? n1, "newer");
  cluster.settle();
  assert.equal(cluster.at(n1).alive.status().role, "leader", "it does not know yet");
  const position = cluster.read(n1);
  cluster.run(2 * electionTimeoutMs);
  assert.deepEqual([cluster.at(n1).confirmedReads, cluster.at(n1).refusedReads], [[], [position]]);
});

test("ReadIndex §6.4: reads go on while leadership is handed over, and none is lost without an answer", () => {
  const cluster = ledCluster();
  const positions = [cluster.read(n1), cluster.read(n2), cluster.read(n3)];
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  cluster.run(2 * electionTimeoutMs);
  assert.equal(cluster.leader?.id, n2);
  const answered = cluster.running.flatMap(({ confirmedReads, refusedReads }) => [
    ...confirmedReads.map(({ position }) => position),
    ...refusedReads,
  ]);
  assert.deepEqual(
    answered.toSorted((a, b) => a - b),
    positions,
  );
});

test("ReadIndex §6.4: a position that does not grow ends the process", () => {
  const solo = readyLeader();
  solo.step({ type: "read", position: 2 });
  assert.throws(() => solo.step({ type: "read", position: 2 }), { name: "InvariantError" });
});

test("ReadIndex §6.4: the commit index of a heartbeat is adopted", () => {
  const solo = new Solo({ terms: [1, 1] });
  solo.receive(n2, heartbeat({ term: 1, commit: 2 }));
  assert.equal(solo.core.status().commitIndex, logIndex(2));
});

test("ReadIndex §6.4: more reads than a leader can keep are refused, and so asked again", () => {
  const solo = new Solo();
  solo.lead(n2);
  for (let position = 1; position <= 65_536; position += 1) solo.step({ type: "read", position });
  assert.deepEqual(solo.step({ type: "read", position: 65_537 }).refusedReads, [65_537]);
  const request = { type: "read-index-request", term: term(1), position: 1 } as const;
  const answer = only(messagesOf(solo.receive(n3, request), "read-index-response", n3));
  assert.equal(answer.readIndex, undefined);
  solo.match(n2, 1);
  assert.equal(confirm(solo, n2, 1).confirmedReads.length, 65_536);
});
