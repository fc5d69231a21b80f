import assert from "node:assert/strict";
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Level } from "level";
import { hasCode } from "../../node/base/errors.ts";
import type { CatalogStore } from "../../node/storage/types.ts";
import { everything, key, put, rows, there } from "./catalog-rows.ts";
import { cut, filesOf, flipBit } from "./damage.ts";
import { appliedRow, layout, position, temporaryDirectory, use, withStores } from "./support.ts";

test("catalog damage: with CURRENT removed there is none, it is never created empty, and the log stays whole", async () => {
  const path = await temporaryDirectory();
  await withStores(path, async ({ catalog }) => there(catalog).write(rows(1, 10), { sync: true }));
  await rm(join(layout(path).catalog(1), "CURRENT"));
  for (let start = 1; start <= 2; start += 1) {
    await withStores(path, async ({ catalog, log }) => {
      assert.equal(catalog, undefined);
      assert.equal(log.recovered.lostPromises, false);
    });
  }
});

test("catalog damage: no flipped bit in a table file makes it serve a wrong value, or hide one", async (t) => {
  const path = await temporaryDirectory();
  const tuning = { catalogWriteBufferBytes: 16 * 1024 };
  const written = rows(1, 800);
  const expected = new Map(written.map((row) => [row.key.toString(), row.value?.toString()]));
  await withStores(
    path,
    async ({ catalog }) => {
      for (let at = 0; at < written.length; at += 50)
        await there(catalog).write(written.slice(at, at + 50), { sync: true });
    },
    { tuning },
  );
  await (await use(path)).directory.close();
  const count = { noticed: 0, missing: 0, harmless: 0 };
  for (const file of await filesOf(layout(path).catalog(1), ".ldb")) {
    for (let offset = 3; offset < file.sizeBytes; offset += Math.floor(file.sizeBytes / 5)) {
      const copy = await copyOf(path);
      await flipBit(file.path.replace(path, copy), offset, offset % 8);
      count[await withStores(copy, ({ catalog }) => checkValues(catalog, expected))] += 1;
      await rm(copy, { recursive: true });
    }
  }
  t.diagnostic(JSON.stringify(count));
  assert.ok(count.noticed > 10 && count.missing === 0, JSON.stringify(count));
});

test("catalog damage: a value that goes bad while running, or lies under another's key, is not served", async () => {
  const path = await temporaryDirectory();
  const tuning = { catalogWriteBufferBytes: 16 * 1024 };
  await withStores(path, async ({ catalog }) => there(catalog).write(rows(1, 800), { sync: true }), { tuning });
  const damaged = { code: "catalog-damaged" };
  const swapped = new Level<Uint8Array, Uint8Array>(layout(path).catalog(1), {
    keyEncoding: "view",
    valueEncoding: "view",
    compression: false,
  });
  await swapped.put(key("k000003"), (await swapped.get(key("k000004"))) ?? assert.fail());
  await swapped.close();
  await withStores(path, async ({ catalog }) => {
    assert.throws(() => there(catalog).get(key("k000003")), damaged);
    assert.notEqual(there(catalog).get(key("k000004")), undefined);
    for (const file of await filesOf(layout(path).catalog(1), ".ldb")) {
      const table = await readFile(file.path);
      const at = table.indexOf("value of k000400");
      if (at >= 0) await flipBit(file.path, at, 0);
    }
    assert.throws(() => there(catalog).get(key("k000400")), damaged);
    await assert.rejects(there(catalog).range(everything), damaged);
    assert.notEqual(there(catalog).get(key("k000402")), undefined);
  });
});

async function checkValues(catalog: CatalogStore | undefined, expected: ReadonlyMap<string, string | undefined>) {
  if (catalog === undefined) return "noticed";
  let result: "noticed" | "missing" | "harmless" = "harmless";
  for (const [name, value] of expected) {
    try {
      const got: Uint8Array | undefined = catalog.get(key(name));
      if (got === undefined) result = "missing";
      else assert.equal(Buffer.from(got).toString(), value);
    } catch (error) {
      if (!hasCode(error, "catalog-damaged")) throw error;
      result = "noticed";
    }
  }
  try {
    for (const row of await catalog.range(everything)) {
      assert.equal(Buffer.from(row.value).toString(), expected.get(Buffer.from(row.key).toString()));
    }
  } catch (error) {
    if (!hasCode(error, "catalog-damaged")) throw error;
    result = "noticed";
  }
  return result;
}

test("catalog damage: a flipped bit in the write-ahead log, or a lost tail, leaves the state before the write that it hit", async () => {
  const path = await temporaryDirectory();
  await withStores(path, async ({ catalog }) => {
    // Overwritten again and again, so that a later write behind a missing one would be seen.
    for (let turn = 1; turn <= 400; turn += 1) {
      await there(catalog).write([put("k", String(turn)), put(`k${turn % 7}`, `${turn} ${"x".repeat(200)}`)], {
        sync: false,
      });
    }
  });
  const [wal] = await filesOf(layout(path).catalog(1), ".log");
  assert.ok(wal !== undefined && wal.sizeBytes > 65_536);
  const turnAt = (offset: number) => Math.floor((400 * offset) / wal.sizeBytes);
  const check = async (copy: string, offset: number) =>
    withStores(copy, async ({ catalog }) => {
      const turn = Number(there(catalog).get(key("k"))?.toString() ?? 0);
      assert.ok(Math.abs(turn - turnAt(offset)) <= 3, `turn ${turn} where ${turnAt(offset)} was hit`);
      for (let before = turn; before > Math.max(0, turn - 7); before -= 1) {
        const value = there(catalog).get(key(`k${before % 7}`));
        assert.equal(value?.toString().split(" ")[0], String(before));
      }
    });
  for (let offset = 1000; offset < wal.sizeBytes; offset += Math.floor(wal.sizeBytes / 16)) {
    const flipped = await copyOf(path);
    await flipBit(wal.path.replace(path, flipped), offset, 3);
    await check(flipped, offset);
  }
  for (const part of [0.3, 0.6, 0.99]) {
    const offset = Math.floor(wal.sizeBytes * part);
    const shorter = await copyOf(path);
    await cut(wal.path.replace(path, shorter), offset);
    await check(shorter, offset);
  }
});

test("catalog damage: one that has forgotten what the log was trimmed for is not used", async () => {
  const path = await temporaryDirectory();
  const saved = `${path}-saved`;
  await withStores(path, async ({ log }) => {
    const append = Array.from({ length: 20 }, (_, at) => ({
      ...position(at + 2, 1),
      kind: "command" as const,
      data: key("x"),
    }));
    await log.persist({ hardState: undefined, append });
  });
  await cp(layout(path).catalog(1), saved, { recursive: true });
  await withStores(path, async ({ log, catalog }) => {
    await there(catalog).write([appliedRow(position(15, 1))], { sync: true });
    await log.trim(position(15, 1));
  });
  await withStores(path, async ({ catalog }) => assert.notEqual(catalog, undefined));
  await rm(layout(path).catalog(1), { recursive: true });
  await cp(saved, layout(path).catalog(1), { recursive: true });
  await withStores(path, async ({ catalog }) => assert.equal(catalog, undefined));
});

let copies = 0;
async function copyOf(path: string): Promise<string> {
  const copy = `${path}-copy-${(copies += 1)}`;
  await cp(path, copy, { recursive: true });
  return copy;
}
