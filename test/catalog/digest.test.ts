import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Digest, DigestAccumulator, digestHex, emptyDigest } from "../../node/catalog/digest.ts";
import { membersKey, metaKey } from "../../node/catalog/keys.ts";

const bytes = fc.uint8Array({ maxLength: 30 });
const row = fc.tuple(bytes, bytes).map(([key, value]) => ({ key: Buffer.concat([Buffer.of(0x30), key]), value }));

function digestOf(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]): Digest {
  const digest = new DigestAccumulator();
  for (const { key, value } of rows) digest.add(key, value);
  return digest.value;
}

test("Digest: it does not depend on the order of rows, and taking a row out undoes putting it in", () => {
  fc.assert(
    fc.property(fc.array(row), row, fc.nat(), (rows, extra, cut) => {
      const at = cut % (rows.length + 1);
      const digest = new DigestAccumulator(digestOf([...rows.slice(at), extra, ...rows.slice(0, at)]));
      digest.remove(extra.key, extra.value);
      assert.deepEqual(digest.value, digestOf(rows));
    }),
  );
});

test("Digest: one changed bit in a key or value changes it", () => {
  fc.assert(
    fc.property(fc.array(row), row, fc.nat(), fc.nat(7), fc.boolean(), (rows, one, at, bit, inKey) => {
      const part = inKey ? one.key : one.value;
      if (part.length === 0) return;
      const flipped = Uint8Array.from(part);
      flipped[at % part.length] = (flipped[at % part.length] ?? 0) ^ (1 << bit);
      const other = inKey ? { ...one, key: flipped } : { ...one, value: flipped };
      assert.notDeepEqual(digestOf([...rows, one]), digestOf([...rows, other]));
    }),
  );
});

test("Digest: where the key ends matters, and a row twice is not no row", () => {
  const [ab, c, a, bc] = ["ab", "c", "a", "bc"].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer, Buffer];
  assert.notDeepEqual(digestOf([{ key: ab, value: c }]), digestOf([{ key: a, value: bc }]));
  assert.notDeepEqual(
    digestOf([
      { key: ab, value: c },
      { key: ab, value: c },
    ]),
    emptyDigest,
  );
});

test("Digest: the meta row, which holds it, is left out and told apart", () => {
  const digest = new DigestAccumulator();
  assert.equal(digest.add(metaKey, Buffer.from("x")), false);
  assert.deepEqual(digest.value, emptyDigest);
  assert.equal(digest.add(membersKey, Buffer.from("x")), true);
});

test("Digest: large rows count whole", () => {
  const [one, other] = [Buffer.alloc(100_000, 1), Buffer.alloc(100_000, 1)];
  other[99_999] = 2;
  assert.notDeepEqual(digestOf([{ key: membersKey, value: one }]), digestOf([{ key: membersKey, value: other }]));
});

test("Digest: it is shown as 32 hexadecimal digits", () => {
  assert.equal(digestHex([1, 0xffff_ffff, 0, 0xa0]), "00000001ffffffff00000000000000a0");
  assert.match(digestHex(digestOf([{ key: membersKey, value: Buffer.from("x") }])), /^[0-9a-f]{32}$/);
});
