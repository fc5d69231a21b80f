import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { logIndex, term } from "../../node/base/ids.ts";
import type { RaftMessage } from "../../node/raft/types.ts";
import { FrameQueue, laneOf } from "../../node/transport/frame-queue.ts";

/** A connection whose other side takes bytes only when a test says so. */
class SlowSocket extends Duplex {
  readonly taken: Buffer[] = [];
  /** How many bytes each write under way has, oldest first. */
  readonly writes: number[] = [];
  #done: (() => void) | undefined;

  override _read(): void {}
  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    const bytes = Buffer.concat(chunks.map(({ chunk }) => chunk));
    this.taken.push(bytes);
    this.writes.push(bytes.length);
    this.#done = done;
  }

  /** The kernel has taken what was written. */
  async drain(): Promise<void> {
    const done = this.#done;
    this.#done = undefined;
    done?.();
    await nextTurn();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.taken);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const frame = (sizeBytes: number, content: number) => [Buffer.alloc(sizeBytes, content)];

test("Frame queue: frames of one turn leave in one write", async () => {
  const socket = new SlowSocket();
  const queue = new FrameQueue(socket, 1 << 20);
  for (const content of [1, 2, 3]) assert.ok(queue.offer(frame(10, content), "bulk"));
  assert.equal(queue.queuedBytes, 30);
  await nextTurn();
  assert.deepEqual(socket.writes, [30]);
});

test("Frame queue: an urgent frame overtakes bulk ones that the socket has not got yet, and no other urgent one", async () => {
  const socket = new SlowSocket();
  const queue = new FrameQueue(socket, 64 << 20);
  for (let at = 0; at < 20; at += 1) queue.offer(frame(100_000, 1), "bulk");
  await nextTurn();
  assert.equal(socket.writes[0], 300_000, "about 256 KiB are handed over, whole frames only");
  queue.offer(frame(10, 2), "urgent");
  queue.offer(frame(10, 3), "urgent");
  await nextTurn();
  assert.equal(socket.writes.length, 1, "not while the socket is busy");
  await socket.drain();
  const next = socket.taken[1];
  assert.deepEqual([next?.[0], next?.[10], next?.[20]], [2, 3, 1]);
  while (queue.queuedBytes > 0) await socket.drain();
  assert.equal(socket.bytes.length, 2_000_020, "everything leaves, once");
});

test("Frame queue: urgent frames that fill a hand-over leave bulk ones for the next", async () => {
  const socket = new SlowSocket();
  const queue = new FrameQueue(socket, 64 << 20);
  queue.offer(frame(10, 1), "bulk");
  for (let at = 0; at < 6; at += 1) queue.offer(frame(100_000, 2), "urgent");
  await nextTurn();
  await socket.drain();
  assert.deepEqual([socket.bytes.length, socket.bytes.includes(1)], [600_000, false]);
  await socket.drain();
  assert.equal(socket.bytes.at(-1), 1);
});

test("Frame queue: a frame with too much before it is refused; bulk does not stand before urgent", async () => {
  const socket = new SlowSocket();
  const queue = new FrameQueue(socket, 1_000);
  assert.ok(queue.offer(frame(5_000, 1), "bulk"), "one larger than the bound goes when nothing waits");
  assert.equal(queue.offer(frame(1, 1), "bulk"), false);
  assert.ok(queue.offer(frame(999, 2), "urgent"));
  assert.equal(queue.offer(frame(2, 2), "urgent"), false);
  queue.add(frame(2, 2), "urgent");
  assert.equal(queue.queuedBytes, 6_001);
});

test("Frame queue: a connection that is gone takes nothing, what waited for it included", async () => {
  const socket = new SlowSocket();
  const queue = new FrameQueue(socket, 1_000);
  queue.offer(frame(10, 1), "bulk");
  socket.destroy();
  assert.equal(queue.offer(frame(10, 1), "urgent"), false);
  await nextTurn();
  assert.deepEqual(socket.writes, []);
});

test("Frame queue: votes, acknowledgements and reads are urgent; appends, and heartbeats behind them, are not", () => {
  const at = { index: logIndex(1), term: term(1) };
  const lane = (message: RaftMessage) => laneOf({ type: "raft", message });
  const append = {
    type: "append-request",
    term: term(1),
    previous: at,
    entries: [],
    commitIndex: logIndex(0),
  } as const;
  assert.equal(lane(append), "bulk");
  assert.equal(lane({ type: "heartbeat-request", term: term(1), commitIndex: logIndex(0), round: 1 }), "bulk");
  assert.equal(lane({ type: "vote-request", term: term(2), last: at, transfer: false }), "urgent");
  assert.equal(lane({ type: "heartbeat-response", term: term(1), round: 1 }), "urgent");
  assert.equal(laneOf({ type: "proposals", proposals: [] }), "bulk");
  assert.equal(laneOf({ type: "pong" }), "urgent");
});
