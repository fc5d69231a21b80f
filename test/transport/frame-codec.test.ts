import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex, term } from "../../node/base/ids.ts";
import { InvariantError } from "../../node/base/invariant.ts";
import type { Entry, RaftMessage } from "../../node/raft/types.ts";
import { encodeFrame, maxFrameBytes, type WireFrame } from "../../node/transport/frame-codec.ts";
import { FrameDecoder } from "../../node/transport/frame-decoder.ts";
import { nodeId } from "./support/nodes.ts";

const whole = fc.oneof(fc.nat(1_000), fc.maxSafeNat());
// Far enough from 2^53 that entries can follow.
const index = fc
  .oneof(
    fc.nat(1_000),
    fc.nat({ max: 2 ** 30 }).map((n) => n * 2 ** 20),
  )
  .map(logIndex);
const terms = whole.map(term);
const position = fc.record({ index, term: terms });
const bytes = fc.uint8Array({ maxLength: 300 });
const entry = fc.record({
  term: terms,
  kind: fc.constantFrom("noop" as const, "command" as const, "configuration" as const),
  data: bytes,
});

const appendRequest: fc.Arbitrary<RaftMessage> = fc
  .tuple(terms, position, fc.array(entry, { maxLength: 8 }), index)
  .map(([at, previous, entries, commitIndex]) => ({
    type: "append-request",
    term: at,
    previous,
    commitIndex,
    entries: entries.map((each, offset): Entry => ({ ...each, index: logIndex(previous.index + 1 + offset) })),
  }));

const raftMessage: fc.Arbitrary<RaftMessage> = fc.oneof(
  appendRequest,
  fc.record({ type: fc.constant("pre-vote-request" as const), term: terms, last: position }),
  fc.record({ type: fc.constant("pre-vote-response" as const), term: terms, granted: fc.boolean() }),
  fc.record({ type: fc.constant("vote-request" as const), term: terms, last: position, transfer: fc.boolean() }),
  fc.record({ type: fc.constant("vote-response" as const), term: terms, granted: fc.boolean() }),
  fc.record({
    type: fc.constant("append-response" as const),
    term: terms,
    result: fc.oneof(
      fc.record({ type: fc.constant("matched" as const), matchIndex: index }),
      fc.record({ type: fc.constant("rejected" as const), previousIndex: index, hint: position }),
    ),
  }),
  fc.record({ type: fc.constant("heartbeat-request" as const), term: terms, commitIndex: index, round: whole }),
  fc.record({ type: fc.constant("heartbeat-response" as const), term: terms, round: whole }),
  fc.record({ type: fc.constant("install-snapshot-request" as const), term: terms, snapshot: position }),
  fc.record({ type: fc.constant("read-index-request" as const), term: terms, position: whole }),
  fc.record({
    type: fc.constant("read-index-response" as const),
    term: terms,
    position: whole,
    readIndex: fc.option(index, { nil: undefined }),
  }),
  fc.record({ type: fc.constant("timeout-now" as const), term: terms }),
  fc.record({
    type: fc.constant("transfer-request" as const),
    term: terms,
    to: fc.constantFrom(undefined, nodeId("n1"), nodeId(`a-${"z".repeat(30)}`)),
  }),
);

const status = fc.record({
  node: fc.constant(nodeId("n1")),
  api: fc.record({ host: fc.constantFrom("127.0.0.1", "::1", "node.example"), port: fc.nat(65_535) }),
  term: terms,
  match: index,
  applied: index,
  files: whole,
  bytes: whole,
  freeBytes: whole,
  takesBytes: fc.boolean(),
  lostPromises: fc.boolean(),
  checkpoint: fc.option(fc.record({ index, digest: fc.constantFrom("00ff", "ab".repeat(32)) }), { nil: undefined }),
});

const frame: fc.Arbitrary<WireFrame> = fc.oneof(
  raftMessage.map((message) => ({ type: "raft" as const, message })),
  fc.array(bytes, { maxLength: 6 }).map((proposals) => ({ type: "proposals" as const, proposals })),
  status.map((each) => ({ type: "status" as const, status: each })),
  fc.constantFrom({ type: "ping" as const }, { type: "pong" as const }),
);

function encoded(frames: readonly WireFrame[]): Buffer {
  return Buffer.concat(frames.flatMap((each) => encodeFrame(each)));
}

test("Frames: every frame comes back as it was sent, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 6 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 700 })),
      (sent, cuts) => {
        const decoder = new FrameDecoder();
        const received: WireFrame[] = [];
        for (let rest = encoded(sent); rest.length > 0; ) {
          const size = cuts.next().value ?? 1;
          const decoded = decoder.push(rest.subarray(0, size));
          assert.equal(decoded.malformed, false);
          received.push(...decoded.frames);
          rest = rest.subarray(size);
        }
        // Cloning makes views plain arrays.
        assert.deepEqual(structuredClone(received), structuredClone(sent));
      },
    ),
    { numRuns: 300 },
  );
});

test("Frames: a frame cut short is never delivered", () => {
  fc.assert(
    fc.property(frame, fc.nat(), (sent, cut) => {
      const whole = encoded([sent]);
      const decoded = new FrameDecoder().push(whole.subarray(0, cut % whole.length));
      assert.deepEqual(decoded, { frames: [], malformed: false });
    }),
  );
});

test("Frames: changed bytes never throw, and what still decodes is a well-formed frame", () => {
  fc.assert(
    fc.property(
      fc.array(frame, { minLength: 1, maxLength: 3 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (sent, at, flip) => {
        const bytesSent = encoded(sent);
        bytesSent[at % bytesSent.length] = (bytesSent[at % bytesSent.length] ?? 0) ^ flip;
        for (const received of new FrameDecoder().push(bytesSent).frames) assert.ok(encodeFrame(received).length > 0);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("Frames: random bytes are malformed or not yet a frame", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 60 }), (noise) => {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(noise.length);
      noise[0] = 1; // a Raft message of some kind
      for (const received of new FrameDecoder().push(Buffer.concat([head, noise])).frames) {
        assert.deepEqual(Buffer.concat(encodeFrame(received)), Buffer.concat([head, noise]));
      }
    }),
    { numRuns: 2_000 },
  );
});

const malformed: readonly [string, Buffer][] = [
  ["of length 0", Buffer.from("00000000", "hex")],
  ["longer than the bound", Buffer.from("0100000101", "hex")],
  ["of an unknown type", Buffer.from("0000000163", "hex")],
  ["of a ping with a payload", Buffer.from("000000020400", "hex")],
  ["with bytes left over", patched(encoded([timeoutNow()]), (b) => Buffer.concat([b, Buffer.of(0)]), 1)],
  ["of a message of an unknown kind", patched(encoded([timeoutNow()]), (b) => b.fill(99, 5, 6), 0)],
  ["with a term beyond 2^53", patched(encoded([timeoutNow()]), (b) => b.fill(0xff, 6, 14), 0)],
  ["that claims 4 billion entries", patched(encoded([emptyAppend()]), (b) => b.fill(0xff, b.length - 4), 0)],
  [
    "that claims 4 billion proposals",
    patched(encoded([{ type: "proposals", proposals: [] }]), (b) => b.fill(0xff, 5), 0),
  ],
  ["of a transfer to what is no node's id", patched(encoded([transfer()]), (b) => b.fill("A", b.length - 1), 0)],
  ["of a status that is not msgpack", Buffer.from("0000000203c1", "hex")],
  ["of a status with a hole", Buffer.from("000000020380", "hex")],
];

function timeoutNow(): WireFrame {
  return { type: "raft", message: { type: "timeout-now", term: term(7) } };
}

function transfer(): WireFrame {
  return { type: "raft", message: { type: "transfer-request", term: term(7), to: nodeId("n1") } };
}

function emptyAppend(): WireFrame {
  const previous = { index: logIndex(1), term: term(1) };
  return {
    type: "raft",
    message: { type: "append-request", term: term(7), previous, entries: [], commitIndex: logIndex(1) },
  };
}

/** The frame with a change that its length field knows about. */
function patched(whole: Buffer, change: (bytes: Buffer) => Buffer, longer: number): Buffer {
  const changed = change(Buffer.from(whole));
  changed.writeUInt32BE(whole.readUInt32BE(0) + longer);
  return changed;
}

for (const [what, bytesSent] of malformed) {
  test(`Frames: a frame ${what} is malformed, and nothing after it is read`, () => {
    const decoder = new FrameDecoder();
    assert.equal(decoder.push(bytesSent).malformed, true);
    assert.deepEqual(decoder.push(encoded([timeoutNow()])), { frames: [], malformed: true });
  });
}

test("Frames: whole frames before a malformed one are delivered", () => {
  const { frames, malformed: closed } = new FrameDecoder().push(
    Buffer.concat([encoded([timeoutNow(), timeoutNow()]), Buffer.alloc(4)]),
  );
  assert.deepEqual({ count: frames.length, closed }, { count: 2, closed: true });
});

test("Frames: a frame of 16 MiB in chunks of 1 KiB is put together once, not copied with every chunk", () => {
  const proposal = Buffer.alloc(maxFrameBytes - 9, 7);
  const whole = encoded([{ type: "proposals", proposals: [proposal] }]);
  const decoder = new FrameDecoder();
  const startMs = performance.now();
  let count = 0;
  for (let at = 0; at < whole.length; at += 1024) count += decoder.push(whole.subarray(at, at + 1024)).frames.length;
  const tookMs = performance.now() - startMs;
  assert.equal(count, 1);
  // Copying with every chunk would move 128 GiB.
  assert.ok(tookMs < 2_000, `${tookMs} ms`);
});

test("Frames: entries that do not follow each other are never sent", () => {
  const previous = { index: logIndex(4), term: term(1) };
  const entries: Entry[] = [{ index: logIndex(6), term: term(1), kind: "noop", data: new Uint8Array() }];
  const message: RaftMessage = { type: "append-request", term: term(1), previous, entries, commitIndex: logIndex(0) };
  assert.throws(() => encodeFrame({ type: "raft", message }), InvariantError);
});

test("Frames: a frame beyond the bound is never sent", () => {
  const proposals = [Buffer.alloc(maxFrameBytes)];
  assert.throws(() => encodeFrame({ type: "proposals", proposals }), InvariantError);
});
