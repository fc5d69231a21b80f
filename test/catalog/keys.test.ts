import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hasCode } from "../../node/base/errors.ts";
import { type BlobId, type ClientId, logIndex, type NodeId } from "../../node/base/ids.ts";
import {
  afterFilePrefix,
  clientKey,
  clientRange,
  commandKey,
  commandOrderKey,
  everyRow,
  fileKey,
  fileRange,
  holderKey,
  holderRange,
  type KeyRange,
  membersKey,
  metaKey,
  parseClientKey,
  parseFileKey,
  parseHolderKey,
} from "../../node/catalog/keys.ts";
import { encodeFileName, parseFileName } from "../../node/catalog/names.ts";
import { anyBlobId, anyClientId, anyName, anyNode } from "./arbitraries.ts";

const ann = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa" as ClientId;
const last = "ffffffff-ffff-4fff-bfff-ffffffffffff" as ClientId;

function contains({ from, before }: KeyRange, key: Uint8Array): boolean {
  return Buffer.compare(from, key) <= 0 && Buffer.compare(key, before) < 0;
}

test("Keys: files of a client lie in the order of their names' UTF-8 bytes, astral characters last", () => {
  // U+FF5E sorts after the surrogates in UTF-16, and before U+1F600 in UTF-8.
  const names = ["😀", "\uff5e", "a", "a/b", "a0", "é"].map(parseFileName);
  const sorted = names.toSorted((a, b) => Buffer.compare(fileKey(ann, a), fileKey(ann, b)));
  assert.deepEqual(sorted, ["a", "a/b", "a0", "é", "\uff5e", "😀"]);
});

test("Keys: the order of keys is the order of (client, name bytes), for any names", () => {
  const pair = fc.tuple(anyClientId, anyName);
  fc.assert(
    fc.property(pair, pair, fc.boolean(), ([clientA, nameA], [other, nameB], sameClient) => {
      const clientB = sameClient ? clientA : other;
      const expected =
        clientA === clientB ? Buffer.compare(encodeFileName(nameA), encodeFileName(nameB)) : clientA < clientB ? -1 : 1;
      assert.equal(Buffer.compare(fileKey(clientA, nameA), fileKey(clientB, nameB)), expected);
    }),
  );
});

test("Keys: what a key was built from is read back from it", () => {
  fc.assert(
    fc.property(anyClientId, anyName, anyNode, anyBlobId, (clientId, name, node, blobId) => {
      assert.equal(parseClientKey(clientKey(clientId)), clientId);
      assert.deepEqual(parseFileKey(new Uint8Array(fileKey(clientId, name))), { clientId, name });
      assert.deepEqual(parseHolderKey(holderKey(node, blobId)), { node, blobId });
    }),
  );
});

test("Keys: each table is one range, and the meta row comes after them all", () => {
  const blob = ann as string as BlobId;
  const rows = [
    membersKey,
    clientKey(ann),
    clientKey(last),
    fileKey(ann, parseFileName("\u{10ffff}")),
    fileKey(last, parseFileName("a")),
    holderKey("0" as NodeId, blob),
    holderKey("zz" as NodeId, blob),
    commandKey("00000000-0000-4000-8000-000000000000" as never),
    commandKey(last as string as never),
    commandOrderKey(logIndex(1)),
    commandOrderKey(logIndex(2 ** 33)),
    commandOrderKey(logIndex(2 ** 33 + 1)),
    metaKey,
  ];
  assert.deepEqual(rows.toSorted(Buffer.compare), rows);
  for (const key of rows) assert.ok(contains(everyRow, key));
});

test("Keys: fileRange holds exactly the client's names with the prefix, after `after`", () => {
  const prefix = fc.oneof(fc.string({ unit: "binary", maxLength: 3 }), anyName);
  fc.assert(
    fc.property(
      anyClientId,
      anyClientId,
      anyName,
      prefix,
      fc.option(anyName, { nil: undefined }),
      (c, d, name, p, after) => {
        const whole = `${p}${name}`.slice(0, 60);
        if (!isName(whole)) return;
        const bytes = Buffer.from(whole);
        const inRange =
          bytes.subarray(0, Buffer.byteLength(p)).equals(Buffer.from(p)) &&
          (after === undefined || Buffer.compare(bytes, Buffer.from(after)) > 0);
        assert.equal(contains(fileRange(c, p, after), fileKey(c, parseFileName(whole))), inRange);
        if (c !== d) assert.equal(contains(fileRange(c, p, after), fileKey(d, parseFileName(whole))), false);
      },
    ),
  );
});

test("Keys: a list after its last name is empty, never upside down", () => {
  const { from, before } = fileRange(ann, "a/", "b");
  assert.deepEqual(from, before);
});

test("Keys: a grouped list goes on after the whole group", () => {
  const next = afterFilePrefix(ann, "photos/");
  assert.ok(Buffer.compare(fileKey(ann, parseFileName("photos/\u{10ffff}")), next) < 0);
  assert.ok(Buffer.compare(next, fileKey(ann, parseFileName("photos0"))) <= 0);
});

test("Keys: the files of the highest client id are one range too", () => {
  assert.ok(contains(fileRange(last, "", undefined), fileKey(last, parseFileName("a"))));
  assert.ok(!contains(fileRange(last, "", undefined), holderKey("0" as NodeId, ann as string as BlobId)));
});

test("Keys: holderRange holds one node's blobs after `after`, and no node's whose id begins alike", () => {
  const [first, second] = [
    "00000000-0000-4000-8000-000000000001" as BlobId,
    "00000000-0000-4000-8000-000000000002" as BlobId,
  ];
  const n1 = "n1" as NodeId;
  assert.ok(contains(holderRange(n1, undefined), holderKey(n1, first)));
  assert.ok(!contains(holderRange(n1, first), holderKey(n1, first)));
  assert.ok(contains(holderRange(n1, first), holderKey(n1, second)));
  for (const other of ["n", "n10", "n1-a", "n2"]) {
    assert.ok(!contains(holderRange(n1, undefined), holderKey(other as NodeId, first)), other);
  }
});

test("Keys: clientRange goes on after a client", () => {
  assert.ok(contains(clientRange(undefined), clientKey(last)));
  assert.ok(!contains(clientRange(ann), clientKey(ann)));
  assert.ok(contains(clientRange(ann), clientKey(last)));
});

test("Keys: a key of another table or with a broken name is damage", () => {
  const damaged = (error: unknown): boolean => hasCode(error, "catalog-damaged");
  assert.throws(() => parseFileKey(clientKey(ann)), damaged);
  assert.throws(() => parseClientKey(fileKey(ann, parseFileName("a"))), damaged);
  assert.throws(() => parseHolderKey(fileKey(ann, parseFileName("a"))), damaged);
  assert.throws(() => parseFileKey(Buffer.concat([fileKey(ann, parseFileName("a")), Buffer.of(0)])), damaged);
  // Invalid UTF-8 must not be read as another name.
  assert.throws(() => parseFileKey(Buffer.concat([fileKey(ann, parseFileName("a")), Buffer.of(0xff)])), damaged);
});

function isName(text: string): boolean {
  try {
    return parseFileName(text) !== undefined;
  } catch {
    return false;
  }
}
