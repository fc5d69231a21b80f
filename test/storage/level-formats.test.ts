import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader } from "../../node/storage/system/byte-reader.ts";
import { maskedCrc32c } from "../../node/storage/system/crc32c.ts";
import { readLevelLog } from "../../node/storage/system/level-records.ts";
import { damageInTables } from "../../node/storage/system/level-tables.ts";
import { cutWal } from "../../node/storage/system/level-wal.ts";
import { systemDisk } from "../../node/storage/system/system-disk.ts";
import { filesOf } from "./damage.ts";
import { temporaryDirectory } from "./support.ts";

// LevelDB's own formats, read without it: whatever lies there, the readers say what is wrong and never fail themselves.

const memory = { writeBufferBytes: 64 * 1024, cacheBytes: 64 * 1024 };

/** A fragment of a log file: kind 1 is a whole record, 2 to 4 the first, a middle and the last part of one. */
function fragment(kind: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(7 + payload.length);
  bytes.writeUInt16LE(payload.length, 4);
  bytes.writeUInt8(kind, 6);
  bytes.set(payload, 7);
  bytes.writeUInt32LE(maskedCrc32c(bytes.subarray(6)), 0);
  return bytes;
}

test("LevelDB formats: numbers that are cut, or too large, are undefined, and so is all that follows", () => {
  assert.equal(new ByteReader(Buffer.of(0x80)).varint(), undefined);
  assert.equal(new ByteReader(Buffer.alloc(9, 0x80)).varint(), undefined);
  assert.equal(new ByteReader(Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)).varint(), undefined);
  assert.equal(new ByteReader(Buffer.of(0xac, 0x02)).varint(), 300);
  const reader = new ByteReader(Buffer.of(5, 1, 2));
  assert.equal(reader.string(), undefined);
  assert.equal(reader.take(0), undefined);
  assert.equal(reader.take(undefined), undefined);
  assert.ok(reader.atEnd);
});

test("LevelDB formats: a record in parts is one only when all of them are there, in order", () => {
  const [first, middle, last] = [2, 3, 4].map((kind) => fragment(kind, Buffer.of(kind)));
  const whole = Buffer.concat([first!, middle!, last!]);
  assert.deepEqual(
    readLevelLog(whole).records.map(({ payload }) => [...payload]),
    [[2, 3, 4]],
  );
  assert.equal(readLevelLog(whole).end, "whole");
  assert.equal(readLevelLog(Buffer.concat([first!, middle!])).end, "cut off");
  assert.equal(readLevelLog(whole.subarray(0, whole.length - 1)).end, "cut off");
  assert.equal(readLevelLog(Buffer.concat([last!, whole])).end, "damaged");
  assert.equal(readLevelLog(Buffer.concat([first!, fragment(1, Buffer.of(1))])).end, "damaged");
  // Six bytes at the end of a block hold no fragment header and are passed over.
  const full = fragment(1, Buffer.alloc(32_768 - 7 - 6));
  const next = readLevelLog(Buffer.concat([full, Buffer.alloc(6), fragment(1, Buffer.of(9))]));
  assert.deepEqual([next.records.length, next.end], [2, "whole"]);
});

/** A folder whose manifest holds just this edit. */
async function withEdit(edit: readonly number[]): Promise<string> {
  const folder = await temporaryDirectory("level");
  await mkdir(folder);
  await writeFile(join(folder, "CURRENT"), "MANIFEST-000001\n");
  await writeFile(join(folder, "MANIFEST-000001"), fragment(1, Buffer.from(edit)));
  return folder;
}

test("LevelDB formats: a manifest with an edit that makes no sense is damaged", async () => {
  assert.equal(await damageInTables(await withEdit([2, 7, 3, 9, 4, 1, 9, 0])), undefined);
  for (const edit of [
    [99], // no such tag
    [1, 5, 65], // a comparator that ends too early
    [2], // the number of the write-ahead log
    [3], // the next file
    [5, 0, 9], // a compaction pointer
    [6, 0], // a table removed
    [7, 0, 5, 1, 1, 65], // a table added, without its last key
    [7, 0],
  ])
    assert.match((await damageInTables(await withEdit(edit))) ?? "none", /CURRENT or the manifest/, edit.join());
});

/** A LevelDB of a table or more, closed. */
async function withTables(): Promise<{ folder: string; table: string }> {
  const folder = await temporaryDirectory("level");
  const level = await systemDisk.createLevel(folder, memory);
  for (let at = 0; at < 40; at += 1) {
    await level.write([{ key: Buffer.from(`key ${at}`), value: Buffer.alloc(5000, at) }], { sync: false });
  }
  await level.close();
  await (await systemDisk.openLevel(folder, memory)).close();
  const [table] = await filesOf(folder, ".ldb");
  return { folder, table: table?.path ?? assert.fail("no table") };
}

test("LevelDB formats: a table changed in any way is called damaged or read as it was, and never fails the reader", async () => {
  const { folder, table } = await withTables();
  const whole = await readFile(table);
  assert.equal(await damageInTables(folder), undefined);
  const at = fc.nat(whole.length - 1);
  await fc.assert(
    fc.asyncProperty(at, fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.boolean(), async (from, bytes, cuts) => {
      const changed = Buffer.from(whole);
      changed.set(bytes.subarray(0, whole.length - from), from);
      const written = cuts ? changed.subarray(0, from) : changed;
      await writeFile(table, written);
      const damage = await damageInTables(folder);
      // The magic and the padding of the footer count for nothing but themselves.
      if (damage === undefined) assert.ok(written.equals(whole) || from >= whole.length - 48);
    }),
    { numRuns: 200 },
  );
});

/** A footer whose two handles are these numbers. */
function tableOf(content: Buffer, handles: readonly number[]): Buffer {
  const footer = Buffer.alloc(48);
  footer.set(handles, 0);
  footer.write("57fb808b247547db", 40, "hex");
  return Buffer.concat([content, footer]);
}

/** A block under a right checksum. */
function block(content: Buffer, kind = 0): Buffer {
  const trailer = Buffer.alloc(5);
  trailer.writeUInt8(kind, 0);
  trailer.writeUInt32LE(maskedCrc32c(Buffer.concat([content, Buffer.of(kind)])), 1);
  return Buffer.concat([content, trailer]);
}

test("LevelDB formats: a table whose blocks have right checksums and make no sense is damaged", async () => {
  const { folder, table } = await withTables();
  const noRestarts = Buffer.from([0, 0, 0, 0]);
  for (const [content, handles] of [
    [Buffer.alloc(0), [0x80]],
    [Buffer.alloc(0), [0, 100]],
    [block(Buffer.alloc(3)), [0, 3]], // too short for the count of restarts
    [block(Buffer.from([9, 0, 0, 0])), [0, 4]], // more restarts than bytes
    [block(noRestarts, 1), [0, 4]], // compressed
    [block(Buffer.concat([Buffer.from([0, 1, 9, 65]), noRestarts])), [0, 8]], // a handle beyond the block
    [block(Buffer.concat([Buffer.from([0, 1, 1, 65, 0x80]), noRestarts])), [0, 9]], // half a handle
  ] as const) {
    await writeFile(table, tableOf(content, handles));
    assert.match((await damageInTables(folder)) ?? "none", /\.ldb: /, handles.join());
  }
  await writeFile(table, tableOf(block(noRestarts), [0, 4, 0, 4]));
  assert.equal(await damageInTables(folder), undefined, "a table without a row");
});

test("LevelDB formats: a table or a write-ahead log that cannot be read is left to LevelDB, or called damaged", async () => {
  const { folder, table } = await withTables();
  await systemDisk.unlink(table);
  assert.equal(await damageInTables(folder), undefined, "one that is gone is left to LevelDB");
  await mkdir(table);
  assert.match((await damageInTables(folder)) ?? "none", /EISDIR/);
  const other = await withEdit([2, 7]);
  await mkdir(join(other, "000007.log"));
  assert.equal(await cutWal(other), undefined);
});

test("LevelDB formats: a record too short for a batch ends the write-ahead log there", async () => {
  const folder = await withEdit([2, 7]);
  const wal = join(folder, "000007.log");
  await writeFile(wal, fragment(1, Buffer.alloc(11)));
  const cut = await cutWal(folder);
  assert.equal(cut?.finding, "no batch");
  assert.equal((await readFile(wal)).length, 0);
});

test("LevelDB: a file of the write-ahead log that goes away during a sync is not missed, any other failure is told", async () => {
  const folder = await temporaryDirectory("level");
  const level = await systemDisk.createLevel(folder, memory);
  await symlink(join(folder, "nowhere"), join(folder, "000001.log"));
  await level.sync();
  await symlink(join(folder, "000002.log"), join(folder, "000002.log"));
  await assert.rejects(level.sync(), { code: "ELOOP" });
  await level.close();
});
