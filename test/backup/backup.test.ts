import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { backupId } from "../../node/backup/format.ts";
import { readBackup } from "../../node/backup/read.ts";
import { type ErrorCode, hasCode } from "../../node/base/errors.ts";
import { digestHex } from "../../node/catalog/digest.ts";
import { membersKey, metaKey } from "../../node/catalog/keys.ts";
import { MapCatalog } from "../support/map-catalog.ts";
import { backupOf, catalogWith, chunksOf, contentOf, rowsOf } from "./support.ts";

const fails = (code: ErrorCode, text: RegExp) => (error: unknown) => {
  assert.ok(hasCode(error, code), String(error));
  assert.match(error.message, text);
  return true;
};
const damaged = (text: RegExp) => fails("backup-damaged", text);

/** The frames of a backup, each with where it begins and ends. */
function framesOf(backup: Buffer) {
  const frames: { readonly start: number; readonly end: number; readonly kind: number }[] = [];
  for (let start = 18; start < backup.length; ) {
    const end = start + 5 + backup.readUInt32BE(start + 1) + 4;
    frames.push({ start, end, kind: backup.readUInt8(start) });
    start = end;
  }
  return frames;
}

/** A backup of frames that a test makes up; every checksum is right. */
function forged(...frames: readonly (readonly [kind: number, payload: Buffer | string])[]): Buffer {
  const magic = Buffer.from("deposito backup 1\n");
  let checksum = crc32(magic);
  const parts = frames.map(([kind, payload]) => {
    const bytes = Buffer.from(payload);
    const head = Buffer.alloc(5);
    head.writeUInt8(kind, 0);
    head.writeUInt32BE(bytes.length, 1);
    checksum = crc32(bytes, crc32(head, checksum));
    const tail = Buffer.alloc(4);
    tail.writeUInt32BE(checksum);
    checksum = crc32(tail, checksum);
    return Buffer.concat([head, bytes, tail]);
  });
  return Buffer.concat([magic, ...parts]);
}

function row(key: Uint8Array, value: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(key.length, 0);
  head.writeUInt32BE(value.length, 4);
  return Buffer.concat([head, key, value]);
}

describe("a backup", () => {
  test("holds every row of the catalog, however the file is cut into chunks", async () => {
    const { catalog, meta } = catalogWith(6000); // some 3 MiB
    const backup = await backupOf(catalog);
    assert.ok(framesOf(backup).length >= 4);
    for (const chunkBytes of [7_919, 65_536, 100 << 20]) {
      const content = await contentOf(backup, chunkBytes);
      assert.deepEqual(await rowsOf(content.catalog), await rowsOf(catalog));
      const { clusterId, clusterName, applied } = meta;
      const { digest, members, totals, madeAt, ...header } = content.header;
      assert.deepEqual(header, { clusterId, clusterName, applied });
      assert.deepEqual([digest, members], [digestHex(meta.digest), ["n1", "n2", "n3"]]);
      assert.deepEqual([totals, madeAt], [{ files: 0, bytes: 0 }, "1970-01-01T00:00:00.000Z"]);
    }
  });

  test("of the same state has the same id, whenever it was made; of another state another one", async () => {
    const { catalog } = catalogWith(3);
    const one = (await contentOf(await backupOf(catalog))).header;
    const two = { ...one, madeAt: "2026-01-01T00:00:00.000Z" };
    assert.equal(backupId(one), backupId(two));
    assert.match(backupId(one), /^[0-9a-f]{32}$/);
    assert.notEqual(backupId(one), backupId((await contentOf(await backupOf(catalogWith(3).catalog))).header));
  });

  test("with any bit flipped is refused", async () => {
    const backup = await backupOf(catalogWith(3).catalog);
    for (let bit = 0; bit < backup.length * 8; bit += 5) {
      const flipped = Buffer.from(backup);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await assert.rejects(contentOf(flipped), damaged(/./), `bit ${bit}`);
    }
  });

  test("cut off anywhere is refused as not complete", async () => {
    const backup = await backupOf(catalogWith(3).catalog);
    for (let size = 18; size < backup.length; size += 1)
      await assert.rejects(contentOf(backup.subarray(0, size)), damaged(/not complete/), `${size} bytes`);
    for (const size of [0, 17]) await assert.rejects(contentOf(backup.subarray(0, size)), damaged(/not begin/));
  });

  test("with a part lost, doubled or moved is refused, though each part is whole", async () => {
    const backup = await backupOf(catalogWith(6000).catalog);
    const frames = framesOf(backup);
    const [one, two] = frames.filter(({ kind }) => kind === 2);
    assert.ok(one && two);
    const part = ({ start, end }: typeof one) => backup.subarray(start, end);
    const [before, after] = [backup.subarray(0, one.start), backup.subarray(two.end)];
    for (const parts of [[part(two)], [part(one), part(one), part(two)], [part(two), part(one)]])
      await assert.rejects(contentOf(Buffer.concat([before, ...parts, after])), damaged(/checksum/));
    await assert.rejects(contentOf(Buffer.concat([backup, Buffer.of(0)])), damaged(/goes on after its end/));
  });

  test("that contradicts itself is refused, though every checksum is right", async () => {
    const { catalog } = catalogWith(1);
    const { header } = await contentOf(await backupOf(catalog));
    const rows = await rowsOf(catalog);
    const all = Buffer.concat(rows.map(({ key, value }) => row(key, value)));
    const end = JSON.stringify({ rows: rows.length });
    const head = (changes: object = {}) => [1, JSON.stringify({ ...header, ...changes })] as const;
    await contentOf(forged(head(), [2, all], [3, end])); // this one is right

    const without = (lost: Uint8Array) =>
      Buffer.concat(rows.filter(({ key }) => Buffer.compare(key, lost) !== 0).map(({ key, value }) => row(key, value)));
    const fewer = JSON.stringify({ rows: rows.length - 1 });
    const reversed = Buffer.concat(rows.toReversed().map(({ key, value }) => row(key, value)));
    const cases: readonly (readonly [Buffer, RegExp])[] = [
      [forged([2, all], [3, end]), /no header/],
      [forged([1, "{}"], [2, all], [3, end]), /no header/],
      [forged([1, "not JSON"], [3, end]), /no header/],
      [forged(head(), head(), [2, all], [3, end]), /two headers/],
      [forged(head(), [9, all], [3, end]), /none/],
      [forged(head(), [2, reversed], [3, end]), /not in order/],
      [forged(head(), [2, all], [3, fewer]), /rows, and should have/],
      [forged(head(), [2, all], [3, "{}"]), /rows, and should have undefined/],
      [forged(head(), [2, all.subarray(0, -1)], [3, end]), /cut off/],
      [forged(head(), [2, all.subarray(0, 5)], [3, end]), /cut off/],
      [forged(head(), [2, without(metaKey)], [3, fewer]), /no meta row/],
      [forged(head(), [2, without(membersKey)], [3, fewer]), /no members/],
      [forged(head({ digest: "0".repeat(32) }), [2, all], [3, end]), /digest/],
      [forged(head({ applied: { index: 99, term: 1 } }), [2, all], [3, end]), /another catalog/],
      [forged(head({ clusterId: "00000000-0000-0000-0000-000000000000" }), [2, all], [3, end]), /another catalog/],
    ];
    for (const [bytes, text] of cases) await assert.rejects(contentOf(bytes), damaged(text), String(text));
  });

  test("with a part of absurd size is refused before anything is made for it", async () => {
    const bytes = forged([1, "{}"]);
    bytes.writeUInt32BE(0xffff_fff0, 19);
    await assert.rejects(contentOf(bytes), damaged(/none/));
  });

  test("is not read on when its rows cannot be taken", async () => {
    const backup = await backupOf(catalogWith(6000).catalog);
    let taken = 0;
    const full = new Error("no space left");
    const read = readBackup(chunksOf(backup), async () => {
      taken += 1;
      throw full;
    });
    await assert.rejects(read, full);
    assert.equal(taken, 1);
  });

  test("of a catalog whose rows end with a page is whole", async () => {
    const { catalog } = catalogWith(1);
    const rows = await rowsOf(catalog);
    const padded = new MapCatalog();
    padded.write(rows);
    // With 256 rows to a page, the second one is empty.
    for (let at = rows.length; at < 256; at += 1) padded.write([{ key: Buffer.from([0x70, at]), value: Buffer.of(1) }]);
    const backup = await backupOf(padded);
    await assert.rejects(contentOf(backup), damaged(/digest/)); // rows nobody counted, but all of them are there
    const frames = framesOf(backup);
    const last = frames.at(-1);
    assert.equal(JSON.parse(backup.subarray((last?.start ?? 0) + 5, (last?.end ?? 0) - 4).toString()).rows, 256);
  });
});
