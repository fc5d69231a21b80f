import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cluster } from "./cluster.ts";
import { ledCluster } from "./led.ts";
import { electionTimeoutMs, heartbeatMs, messagesOf, n1, n2, n3, Solo } from "./support.ts";

function quiet(setup: Parameters<typeof ledCluster>[0] = {}): Cluster {
  const cluster = ledCluster(setup);
  cluster.run(10 * heartbeatMs);
  return cluster;
}

function messagesDuring(cluster: Cluster, ms: number): number {
  const before = cluster.sent.length;
  cluster.run(ms);
  return cluster.sent.length - before;
}

test("Idle: a quiet group of three sends at most 60 messages a second, its 6 statuses among them", () => {
  const cluster = quiet();
  const perSecond = messagesDuring(cluster, 60_000) / 60;
  assert.ok(perSecond + 6 <= 60, `${perSecond} messages a second`);
  assert.deepEqual([cluster.leader?.id, cluster.leader?.alive.status().term], [n1, 1]);
});

test("Idle: a follower that does not answer, is behind, or has not heard of a commit gets every heartbeat", () => {
  for (const fault of ["silent", "behind", "untold"] as const) {
    const cluster = quiet();
    if (fault === "silent") cluster.cutOneWay(n2, n1);
    if (fault === "behind") cluster.heldDisks.add(n2);
    if (fault === "untold") cluster.filter = ({ to, message }) => to !== n2 || message.type === "append-request";
    if (fault !== "silent") cluster.propose(n1, "a");
    cluster.run(2 * heartbeatMs);
    const before = cluster.sent.length;
    cluster.run(8 * heartbeatMs);
    const beats = cluster.sent
      .slice(before)
      .filter(({ to, message }) => to === n2 && message.type === "heartbeat-request");
    assert.equal(beats.length, 8, fault);
  }
});

test("Idle: followers hear the leader at least every two and a half beats, and stay", () => {
  const cluster = quiet();
  let heardMs = cluster.nowMs;
  let longestMs = 0;
  for (let turn = 0; turn < 200; turn += 1) {
    // Commits at odd moments make heartbeats of their own.
    if (turn % 7 === 0) cluster.propose(n1, `p${turn}`);
    const before = cluster.sent.length;
    cluster.run(13);
    const heard = cluster.sent.slice(before).some(({ from, to }) => from === n1 && to === n3);
    if (heard) heardMs = cluster.nowMs;
    longestMs = Math.max(longestMs, cluster.nowMs - heardMs);
  }
  assert.ok(longestMs <= 2.5 * heartbeatMs + 13, `${longestMs} ms`);
});

test("Idle: a read needs no wait for the next heartbeat", () => {
  const cluster = quiet();
  cluster.run(heartbeatMs / 2);
  const position = cluster.read(n2);
  cluster.settle();
  assert.deepEqual(
    cluster.at(n2).confirmedReads.map((read) => read.position),
    [position],
  );
});

test("Idle: where the election timeout is short, every heartbeat goes out", () => {
  const cluster = quiet({ settings: { electionTimeoutMs: 3 * heartbeatMs } });
  assert.equal(messagesDuring(cluster, 20 * heartbeatMs), 80);
});

test("Idle: a leader that is cut off from a quiet group steps down within an election timeout and a beat", () => {
  const cluster = quiet();
  cluster.cut(n1);
  cluster.run(electionTimeoutMs + 2 * heartbeatMs);
  assert.notEqual(cluster.at(n1).alive.status().role, "leader");
});

test("Idle: a follower that holds what is not committed yet gets every heartbeat", () => {
  const cluster = quiet();
  cluster.heldDisks.add(n1);
  cluster.cut(n3);
  cluster.propose(n1, "n2 alone has it synced");
  cluster.run(2 * heartbeatMs);
  assert.equal(cluster.at(n1).alive.status().progress.get(n2)?.matchIndex, 2);
  const before = cluster.sent.length;
  cluster.run(6 * heartbeatMs);
  const beats = cluster.sent
    .slice(before)
    .filter(({ to, message }) => to === n2 && message.type === "heartbeat-request");
  assert.equal(beats.length, 6);
});

test("Idle: while a read waits, a follower heard through something else still gets every heartbeat", () => {
  const solo = new Solo();
  solo.lead(n2);
  for (const follower of [n2, n3]) solo.match(follower, 1);
  solo.passMs(heartbeatMs / 2);
  solo.step({ type: "read", position: 1 });
  solo.passMs(1);
  // The answers to the round are lost; a late copy of an acknowledgement is not one.
  for (const follower of [n2, n3]) solo.match(follower, 1);
  assert.deepEqual(
    messagesOf(solo.tick(), "heartbeat-request").map(({ round }) => round),
    [1, 1],
  );
});
