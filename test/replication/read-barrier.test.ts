import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { hasCode } from "../../node/base/errors.ts";
import { type LogIndex, logIndex } from "../../node/base/ids.ts";
import { ReadBarrier } from "../../node/replication/read-barrier.ts";
import { ManualClock } from "../support/manual-clock.ts";

function build() {
  const clock = new ManualClock();
  const asked: number[] = [];
  const state = { applied: logIndex(0) };
  const reads = new ReadBarrier({
    clock,
    timeoutMs: 1000,
    maxWaiting: 5,
    firstPosition: 70,
    ask: (position) => asked.push(position),
    applied: () => state.applied,
  });
  return { clock, asked, reads, state };
}

/** Whether the promise has settled after everything that was already possible has happened. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(
    () => (done = true),
    () => (done = true),
  );
  await turn();
  return done;
}

describe("read barrier", () => {
  test("readers of one turn of the event loop share one position", async () => {
    const { asked, reads } = build();
    const barriers = [reads.barrier(), reads.barrier(), reads.barrier()];
    await turn();
    assert.deepEqual(asked, [70]);
    reads.confirmed([{ position: 70, readIndex: logIndex(0) }]);
    await Promise.all(barriers);
  });

  test("a confirmed read waits until its index is applied", async () => {
    const { reads, state } = build();
    const barrier = reads.barrier();
    await turn();
    reads.confirmed([{ position: 70, readIndex: logIndex(5) }]);
    state.applied = 4 as LogIndex;
    reads.appliedMoved();
    assert.equal(await settled(barrier), false);
    state.applied = logIndex(5);
    reads.appliedMoved();
    await barrier;
  });

  test("a reader that comes after a round was asked for gets a round of its own", async () => {
    const { asked, reads } = build();
    const early = reads.barrier();
    await turn();
    const late = reads.barrier();
    await turn();
    assert.deepEqual(asked, [70, 71]);
    reads.confirmed([{ position: 70, readIndex: logIndex(0) }]);
    await early;
    assert.equal(await settled(late), false);
    reads.confirmed([{ position: 71, readIndex: logIndex(0) }]);
    await late;
  });

  test("a refused read is asked again under a new position, at once when a leader becomes known", async () => {
    const { asked, reads } = build();
    const barrier = reads.barrier();
    await turn();
    reads.refused([70]);
    reads.retry();
    assert.deepEqual(asked, [70, 71]);
    reads.confirmed([{ position: 70, readIndex: logIndex(0) }]);
    assert.equal(await settled(barrier), false, "the answer to a refused position is worth nothing");
    reads.confirmed([{ position: 71, readIndex: logIndex(0) }]);
    await barrier;
  });

  test("a refused read is asked again by itself after a while", async () => {
    const { asked, clock, reads } = build();
    const barrier = reads.barrier();
    await turn();
    reads.refused([70]);
    clock.advance(60);
    assert.deepEqual(asked, [70, 71]);
    reads.confirmed([{ position: 71, readIndex: logIndex(0) }]);
    await barrier;
  });

  test("without an answer it ends with no-quorum at its deadline, and a late answer is ignored", async () => {
    const { clock, reads } = build();
    const barrier = reads.barrier();
    await turn();
    clock.advance(1000);
    await assert.rejects(barrier, (error) => hasCode(error, "no-quorum"));
    reads.confirmed([{ position: 70, readIndex: logIndex(0) }]);
  });

  test("however many reads were refused, they are asked again as one, and each keeps its own deadline", async () => {
    const { asked, clock, reads } = build();
    const early = reads.barrier();
    await turn();
    clock.advance(500);
    const late = reads.barrier();
    await turn();
    reads.refused([70, 71]);
    clock.advance(50);
    assert.deepEqual(asked, [70, 71, 72]);
    clock.advance(450);
    await assert.rejects(early, (error) => hasCode(error, "no-quorum"));
    reads.confirmed([{ position: 72, readIndex: logIndex(0) }]);
    await late;
  });

  test("a refused read that nobody waits for any more is not asked again", async () => {
    const { asked, clock, reads } = build();
    const barrier = reads.barrier();
    await turn();
    clock.advance(990);
    reads.refused([70]);
    clock.advance(100);
    await assert.rejects(barrier, (error) => hasCode(error, "no-quorum"));
    assert.deepEqual(asked, [70]);
  });

  test("a read whose deadline passes while the apply lags behind is refused, and forgotten", async () => {
    const { clock, reads, state } = build();
    const barrier = reads.barrier();
    await turn();
    reads.confirmed([{ position: 70, readIndex: logIndex(5) }]);
    clock.advance(1000);
    await assert.rejects(barrier, (error) => hasCode(error, "no-quorum"));
    assert.equal(reads.waiting, 0);
    state.applied = logIndex(5);
    reads.appliedMoved();
  });

  test("when too many wait, the next is refused at once, until some are answered", async () => {
    const { reads } = build();
    const barriers = Array.from({ length: 5 }, () => reads.barrier());
    await assert.rejects(reads.barrier(), (error) => hasCode(error, "too-many-requests"));
    await turn();
    reads.confirmed([{ position: 70, readIndex: logIndex(0) }]);
    await Promise.all(barriers);
    assert.equal(reads.waiting, 0);
    const next = reads.barrier();
    await turn();
    reads.confirmed([{ position: 71, readIndex: logIndex(0) }]);
    await next;
  });

  test("stopping refuses whoever waits, in whatever state, and whoever comes", async () => {
    const { asked, reads } = build();
    const ends = [reads.barrier()];
    await turn();
    ends.push(reads.barrier());
    await turn();
    ends.push(reads.barrier());
    await turn();
    reads.confirmed([{ position: 70, readIndex: logIndex(5) }]);
    reads.refused([71]);
    ends.push(reads.barrier());
    const rejected = ends.map((end) => assert.rejects(end, (error) => hasCode(error, "no-quorum")));
    reads.stop();
    await Promise.all(rejected);
    await assert.rejects(reads.barrier(), (error) => hasCode(error, "no-quorum"));
    await turn();
    assert.deepEqual([reads.waiting, asked], [0, [70, 71, 72]]);
  });
});
