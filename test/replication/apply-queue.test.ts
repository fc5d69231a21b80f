import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex } from "../../node/base/ids.ts";
import { ApplyQueue } from "../../node/replication/apply-queue.ts";
import { entry } from "./support/scripted-core.ts";

const entries = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, at) => entry(first + at, 1, Buffer.alloc(10)));

function queueOf(count: number, limits = { maxUnappliedEntries: 4, maxUnappliedBytes: 1000 }): ApplyQueue {
  const queue = new ApplyQueue(limits);
  queue.push(entries(1, count));
  return queue;
}

test("Apply queue: there is room below both limits only", () => {
  assert.equal(queueOf(3).room, undefined);
  assert.ok(queueOf(4).room instanceof Promise);
  assert.ok(queueOf(3, { maxUnappliedEntries: 100, maxUnappliedBytes: 30 }).room instanceof Promise);
  assert.deepEqual(queueOf(3).depth, { count: 3, sizeBytes: 30 });
});

test("Apply queue: whoever waits for room is told once there is some, not before", async () => {
  const queue = queueOf(6);
  let told = 0;
  const waiting = [queue.room, queue.room].map(async (room) => {
    await room;
    told += 1;
  });
  assert.deepEqual(
    queue.take(2).map(({ index }) => index),
    [1, 2],
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(told, 0);
  queue.take(1);
  await Promise.all(waiting);
  assert.equal(told, 2);
  assert.equal(queue.first?.index, 4);
});

test("Apply queue: a snapshot makes room, and so does the end", async () => {
  const queue = queueOf(6);
  const { room } = queue;
  queue.dropThrough(logIndex(5));
  await room;
  assert.deepEqual([queue.first?.index, queue.depth.count], [6, 1]);
  const ended = queueOf(6);
  const waiting = ended.room;
  ended.release();
  await waiting;
});
