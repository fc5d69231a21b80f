import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hasCode } from "../../node/base/errors.ts";
import { type ClientId, type CommandId, logIndex, type Sha256, staged } from "../../node/base/ids.ts";
import { decodeProposal, encodeProposal } from "../../node/catalog/codec.ts";
import { encodeFields } from "../../node/catalog/fields.ts";
import { maxContentTypeLength } from "../../node/catalog/limits.ts";
import { decodeMembers, encodeMembers } from "../../node/catalog/member-codec.ts";
import { decodeRecentCommand, encodeRecentCommand } from "../../node/catalog/outcome-codec.ts";
import {
  decodeClient,
  decodeFile,
  decodeHolderRow,
  encodeClient,
  encodeFile,
  encodeHolderRow,
} from "../../node/catalog/row-codec.ts";
import type { Proposal } from "../../node/catalog/types.ts";
import { uuidToBytes } from "../../node/catalog/uuid-bytes.ts";
import { anyClient, anyFile, anyHolderRow, anyMembers, anyOutcome, anyProposal } from "./arbitraries.ts";

test("Codec: every proposal is read back as it was, and a retry has the same bytes", () => {
  fc.assert(
    fc.property(anyProposal, (proposal) => {
      const bytes = encodeProposal(proposal);
      assert.deepEqual(decodeProposal(bytes), proposal);
      assert.equal(hex(encodeProposal(decodeProposal(new Uint8Array(bytes)))), hex(bytes));
    }),
    { numRuns: 500 },
  );
});

test("Codec: every record is read back as it was", () => {
  fc.assert(
    fc.property(anyClient, anyFile, anyHolderRow, anyMembers, (client, file, row, members) => {
      assert.deepEqual(decodeClient(client.clientId, encodeClient(client)), client);
      assert.deepEqual(decodeFile(file.clientId, file.name, encodeFile(file)), file);
      assert.deepEqual(decodeHolderRow(row.node, row.blob.blobId, encodeHolderRow(row)), row);
      assert.deepEqual(decodeMembers(encodeMembers(members)), members);
    }),
  );
});

test("Codec: every outcome is read back as it was", () => {
  fc.assert(
    fc.property(anyOutcome, fc.maxSafeNat(), (outcome, index) => {
      const recent = { index: logIndex(index), outcome };
      assert.deepEqual(decodeRecentCommand(encodeRecentCommand(recent)), recent);
    }),
    { numRuns: 300 },
  );
});

/** Cut short, prolonged, or with one byte changed. */
const anyMutation = fc.oneof(
  fc.record({ type: fc.constant("cut" as const), share: fc.double({ min: 0, max: 0.999, noNaN: true }) }),
  fc.record({ type: fc.constant("append" as const), byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({
    type: fc.constant("flip" as const),
    share: fc.double({ min: 0, max: 0.999, noNaN: true }),
    mask: fc.integer({ min: 1, max: 255 }),
  }),
);
function mutate(bytes: Uint8Array, mutation: typeof anyMutation extends fc.Arbitrary<infer M> ? M : never): Uint8Array {
  if (mutation.type === "append") return Buffer.concat([bytes, Buffer.of(mutation.byte)]);
  const at = Math.floor(bytes.length * mutation.share);
  if (mutation.type === "cut") return bytes.slice(0, at);
  const flipped = Uint8Array.from(bytes);
  flipped[at] = (flipped[at] ?? 0) ^ mutation.mask;
  return flipped;
}

test("Codec: bytes cut short or prolonged are refused, a changed one is refused or gives a valid value, never a crash", () => {
  fc.assert(
    fc.property(anyProposal, anyFile, anyMutation, (proposal, file, mutation) => {
      const readings = [
        { bytes: encodeProposal(proposal), code: "invalid-request" as const, read: decodeProposal },
        {
          bytes: encodeFile(file),
          code: "catalog-damaged" as const,
          read: (bytes: Uint8Array) => decodeFile(file.clientId, file.name, bytes),
        },
      ];
      for (const { bytes, code, read } of readings) {
        try {
          read(mutate(bytes, mutation));
        } catch (error) {
          assert.ok(hasCode(error, code), String(error));
          continue;
        }
        assert.equal(mutation.type, "flip");
      }
    }),
    { numRuns: 1500 },
  );
});

test("Codec: random bytes are refused with a code", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.throws(
        () => decodeProposal(bytes),
        (error: unknown) => hasCode(error, "invalid-request"),
      );
      assert.throws(
        () => decodeHolderRow("n1" as never, id as never, bytes),
        (error: unknown) => hasCode(error, "catalog-damaged"),
      );
    }),
    { numRuns: 1000 },
  );
});

const id = "11111111-1111-4111-8111-111111111111";
const digest = Buffer.alloc(32, 1);
const uuidBytes = uuidToBytes(id);
const refused: readonly (readonly [what: string, fields: readonly unknown[]])[] = [
  ["no fields", []],
  ["an unknown command", [uuidBytes, 1, 99]],
  ["a command id that is no UUID", [Buffer.alloc(16), 1, 6, "n1", 1, 1]],
  ["a command id of 15 bytes", [uuidBytes.subarray(1), 1, 6, "n1", 1, 1]],
  ["a negative basis", [uuidBytes, -1, 6, "n1", 1, 1]],
  ["a basis beyond 2^53", [uuidBytes, 2 ** 53, 6, "n1", 1, 1]],
  ["a fractional number", [uuidBytes, 1, 6, "n1", 1, 1.5]],
  ["a node id with a capital", [uuidBytes, 1, 6, "N1", 1, 1]],
  ["one field too many", [uuidBytes, 1, 6, "n1", 1, 1, 1]],
  ["one field too few", [uuidBytes, 1, 6, "n1", 1]],
  ["neither true nor false", [uuidBytes, 1, 8, "n1", 1]],
  ["a file name with ..", [uuidBytes, 1, 4, uuidBytes, "../x", null, 1]],
  ["a digest of 31 bytes", [uuidBytes, 1, 1, uuidBytes, digest.subarray(1), 1]],
  ["a replica count of 0", [uuidBytes, 1, 3, uuidBytes, "a", 0, null, [], null, 1]],
  ["a ranking with a node twice", [uuidBytes, 1, 3, uuidBytes, "a", 1, null, ["n1", "n1"], null, 1]],
  ["a report of an unknown kind", [uuidBytes, 1, 5, "n1", 1, [[3, uuidBytes, null]]]],
  ["a lost report with a staged number", [uuidBytes, 1, 5, "n1", 1, [[1, uuidBytes, 7]]]],
  ["a made report without one", [uuidBytes, 1, 5, "n1", 1, [[0, uuidBytes, null]]]],
  ["a map in the place of a list", [uuidBytes, 1, 5, "n1", 1, { length: 0 }]],
  [
    "two copies on one node",
    [
      uuidBytes,
      1,
      2,
      uuidBytes,
      "a",
      uuidBytes,
      1,
      digest,
      null,
      1,
      1,
      [
        ["n1", 1, 1],
        ["n1", 1, 2],
      ],
      [],
      null,
      1,
    ],
  ],
];
for (const [what, fields] of refused) {
  test(`Codec: a proposal with ${what} is refused`, () => {
    assert.throws(
      () => decodeProposal(encodeFields(fields)),
      (error: unknown) => hasCode(error, "invalid-request"),
    );
  });
}

test("Codec: the refused proposals above differ from good ones in that one thing", () => {
  const good = [
    [uuidBytes, 1, 6, "n1", 1, 1],
    [uuidBytes, 1, 8, "n1", true],
    [uuidBytes, 1, 4, uuidBytes, "x", null, 1],
    [uuidBytes, 1, 1, uuidBytes, digest, 1],
    [uuidBytes, 1, 3, uuidBytes, "a", 1, null, ["n1", "n2"], null, 1],
    [
      uuidBytes,
      1,
      5,
      "n1",
      1,
      [
        [0, uuidBytes, 7],
        [1, uuidBytes, null],
      ],
    ],
    [
      uuidBytes,
      1,
      2,
      uuidBytes,
      "a",
      uuidBytes,
      1,
      digest,
      null,
      1,
      1,
      [
        ["n1", 1, 1],
        ["n2", 1, 2],
      ],
      [],
      null,
      1,
    ],
  ];
  for (const fields of good) assert.equal(decodeProposal(encodeFields(fields)).id, id);
});

test("Codec: the door cannot propose what its peers would refuse", () => {
  const edit = (contentType: string, at: number): Proposal => ({
    id: id as CommandId,
    basis: logIndex(1),
    command: {
      type: "edit",
      clientId: id as ClientId,
      name: "a" as never,
      replicas: undefined,
      contentType,
      ranking: [],
      preconditions: { ifMatch: undefined, ifNoneMatch: undefined },
      at,
    },
  });
  assert.ok(encodeProposal(edit("x".repeat(maxContentTypeLength), 1)));
  for (const text of ["x".repeat(maxContentTypeLength + 1), "a\ud800"]) {
    assert.throws(
      () => encodeProposal(edit(text, 1)),
      (error: unknown) => hasCode(error, "invalid-request"),
    );
  }
  assert.throws(() => encodeProposal(edit("x", 1.5)), { name: "InvariantError" });
});

test("Codec: a fence is small on the wire", () => {
  const fence: Proposal = {
    id: id as CommandId,
    basis: logIndex(100),
    command: { type: "sweep-fence", node: "n1" as never, life: logIndex(1), upTo: staged(5) },
  };
  assert.ok(encodeProposal(fence).length < 32);
});

test("Codec: two replicas on one node are not written", () => {
  fc.assert(
    fc.property(anyFile, (file) => {
      const [holder] = file.holders;
      if (holder === undefined) return;
      assert.throws(() => encodeFile({ ...file, holders: [...file.holders, holder] }), { name: "InvariantError" });
    }),
    { numRuns: 20 },
  );
});

test("Codec: a digest is 32 bytes on disk", () => {
  assert.throws(
    () => decodeHolderRow("n1" as never, id as never, encodeFields([1, "ab".repeat(32) as Sha256, uuidBytes, "a", 0])),
    (error: unknown) => hasCode(error, "catalog-damaged"),
  );
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
