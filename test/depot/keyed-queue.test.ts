import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteRate } from "../../node/depot/byte-rate.ts";
import { KeyedQueue } from "../../node/depot/keyed-queue.ts";
import { ManualClock } from "../support/manual-clock.ts";

/** A queue whose work ends when the test says so. */
function controlled(options: { readonly width: number; readonly maxWaiting: number }) {
  const clock = new ManualClock();
  const started: string[] = [];
  const running = new Map<string, PromiseWithResolvers<number | undefined>>();
  const fatal: unknown[] = [];
  const queue = new KeyedQueue<string>({
    ...options,
    clock,
    work: (key) => {
      started.push(key);
      const end = Promise.withResolvers<number | undefined>();
      running.set(key, end);
      return end.promise;
    },
    onFatal: (error) => fatal.push(error),
  });
  const end = async (key: string, againMs?: number) => {
    running.get(key)?.resolve(againMs);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const fail = async (key: string, error: Error) => {
    running.get(key)?.reject(error);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, started, queue, end, fail, fatal };
}

test("Keyed queue: no more keys are under way than its width, first come, first served", async () => {
  const { queue, started, end } = controlled({ width: 2, maxWaiting: 10 });
  for (const key of ["a", "b", "c", "d"]) queue.add(key);
  assert.deepEqual(started, ["a", "b"]);
  await end("b");
  assert.deepEqual(started, ["a", "b", "c"]);
});

test("Keyed queue: a key added while it is under way is worked on once more, not twice at once", async () => {
  const { queue, started, end } = controlled({ width: 2, maxWaiting: 10 });
  queue.add("a");
  queue.add("a");
  queue.add("a");
  assert.deepEqual(started, ["a"]);
  await end("a");
  assert.deepEqual(started, ["a", "a"]);
  await end("a");
  assert.deepEqual(started, ["a", "a"]);
});

test("Keyed queue: a key comes back after the time its work asked for, or at once when added again", async () => {
  const { queue, started, end, clock } = controlled({ width: 1, maxWaiting: 10 });
  queue.add("a");
  await end("a", 500);
  clock.advance(499);
  assert.deepEqual(started, ["a"]);
  clock.advance(1);
  assert.deepEqual(started, ["a", "a"]);
  await end("a", 500);
  queue.add("a");
  assert.deepEqual(started, ["a", "a", "a"]);
  await end("a");
  clock.advance(1000);
  assert.equal(started.length, 3);
});

test("Keyed queue: beyond its limit new keys are refused, known ones are not", () => {
  const { queue } = controlled({ width: 1, maxWaiting: 2 });
  assert.deepEqual(
    ["a", "b", "c", "d", "b", "a"].map((key) => queue.add(key)),
    [true, true, true, false, true, true],
  );
});

test("Keyed queue: work that rejects is reported and does not stop the rest", async () => {
  const { queue, started, fail, fatal } = controlled({ width: 1, maxWaiting: 2 });
  queue.add("a");
  queue.add("b");
  const bug = new Error("bug");
  await fail("a", bug);
  assert.deepEqual(fatal, [bug]);
  assert.deepEqual(started, ["a", "b"]);
});

test("Keyed queue: closing ends when what is under way has ended, and starts nothing any more", async () => {
  const { queue, started, end, clock } = controlled({ width: 1, maxWaiting: 5 });
  queue.add("a");
  queue.add("b");
  let isClosed = false;
  const closing = queue.close().then(() => {
    isClosed = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isClosed, false);
  await end("a", 100);
  await closing;
  clock.advance(1000);
  assert.equal(queue.add("c"), false);
  assert.deepEqual(started, ["a"]);
});

test("Byte rate: the first may begin at once; each next waits until the ones before are paid for", async () => {
  const clock = new ManualClock();
  const rate = new ByteRate(clock, 1);
  const begun: string[] = [];
  const take = (name: string, bytes: number): void => {
    void rate.take(bytes).then((may) => begun.push(`${name} ${may}`));
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  take("first", 2 * 1024 * 1024);
  take("second", 1024 * 1024);
  take("third", 1);
  await turn();
  assert.deepEqual(begun, ["first true"]);
  clock.advance(1999);
  await turn();
  assert.deepEqual(begun, ["first true"]);
  clock.advance(1);
  await turn();
  assert.deepEqual(begun, ["first true", "second true"]);
  rate.close();
  await turn();
  assert.deepEqual(begun, ["first true", "second true", "third false"]);
});
