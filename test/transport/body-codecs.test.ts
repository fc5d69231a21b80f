import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBatch, encodeBatch } from "../../node/transport/batch-codec.ts";
import { finalPiece, pieceHead, SinkFramingDecoder, sinkPreamble } from "../../node/transport/sink-framing.ts";
import { factsOf } from "./support/nodes.ts";

const blob = fc.uint8Array({ maxLength: 400 }).map((bytes) => ({ facts: factsOf(bytes), bytes }));

test("Batches: every blob comes back with its facts", () => {
  fc.assert(
    fc.property(fc.array(blob, { maxLength: 8 }), (blobs) => {
      assert.deepEqual(structuredClone(decodeBatch(encodeBatch(blobs))), structuredClone(blobs));
    }),
  );
});

test("Batches: a body cut short or with more at its end is no batch", () => {
  fc.assert(
    fc.property(fc.array(blob, { minLength: 1, maxLength: 3 }), fc.nat(), (blobs, cut) => {
      const body = encodeBatch(blobs);
      assert.equal(decodeBatch(body.subarray(0, cut % body.length)), undefined);
      assert.equal(decodeBatch(Buffer.concat([body, Buffer.of(0)])), undefined);
    }),
  );
});

test("Batches: changed bytes never throw", () => {
  fc.assert(
    fc.property(fc.array(blob, { minLength: 1, maxLength: 3 }), fc.nat(), fc.nat(255), (blobs, at, value) => {
      const body = encodeBatch(blobs);
      body[at % body.length] = value;
      decodeBatch(body);
    }),
    { numRuns: 1_000 },
  );
});

test("Framed blobs: bytes and facts come back, however the body is cut", () => {
  const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 90 }));
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 })), cuts, (chunks, sizes) => {
      const facts = factsOf(Buffer.concat(chunks));
      const body = Buffer.concat([
        sinkPreamble,
        ...chunks.flatMap((chunk) => [pieceHead(chunk.length), chunk]),
        finalPiece(facts),
      ]);
      const decoder = new SinkFramingDecoder();
      const received: Buffer[] = [];
      let ended: unknown;
      for (let rest = body; rest.length > 0; ) {
        const size = sizes.next().value ?? 1;
        const pieces = decoder.push(rest.subarray(0, size));
        assert.equal(pieces.malformed, false);
        received.push(...pieces.bytes);
        ended = pieces.facts;
        rest = rest.subarray(size);
        // Facts are there with the last byte, and not before.
        assert.equal(ended !== undefined, rest.length === 0);
      }
      assert.deepEqual(ended, facts);
      assert.ok(Buffer.concat(received).equals(Buffer.concat(chunks)));
    }),
  );
});

const facts = factsOf(Buffer.of(1));
const wrong: readonly [string, Buffer][] = [
  ["with another first byte", Buffer.of(2)],
  ["that goes on after its facts", Buffer.concat([sinkPreamble, finalPiece(facts), Buffer.of(0)])],
  [
    "with facts that are none",
    Buffer.concat([sinkPreamble, Buffer.from("00000000", "hex"), Buffer.from("0001c1", "hex")]),
  ],
  ["with facts of no length", Buffer.concat([sinkPreamble, Buffer.from("000000000000", "hex")])],
];
for (const [what, body] of wrong) {
  test(`Framed blobs: a body ${what} is malformed`, () => {
    assert.equal(new SinkFramingDecoder().push(body).malformed, true);
  });
}
