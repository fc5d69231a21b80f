import assert from "node:assert/strict";
import { test } from "node:test";
import type { LevelHandle } from "../../node/storage/disk.ts";
import { key, put, there } from "./catalog-rows.ts";
import { layout, withStores } from "./support.ts";
import { simulatedPlace } from "./test-disks.ts";

const memory = { writeBufferBytes: 1 << 16, cacheBytes: 1 << 16 };

/** Where the mark of a write lies (write-marks.ts). */
function markOf(number: number): Buffer {
  const mark = Buffer.of(0xff, 0, 0, 0, 0, 0, 0, 0, 0);
  mark.writeBigUInt64BE(BigInt(number), 1);
  return mark;
}

test("write marks: only the latest 65,536 stay, and a catalog that lacks the first of those is not used", async () => {
  const { path, disk } = simulatedPlace();
  const total = 66_000;
  await withStores(
    path,
    async ({ catalog }) => {
      for (let turn = 2; turn < total; turn += 1) await there(catalog).write([], { sync: false });
      await there(catalog).write([put("k", "last")], { sync: true });
    },
    { disk },
  );
  const folder = layout(path).catalog(1);
  const oldest = total - 65_536 + 1;
  await behind(async (level) => {
    assert.equal(level.get(markOf(oldest - 1)), undefined);
    assert.notEqual(level.get(markOf(oldest)), undefined);
    assert.notEqual(level.get(markOf(total)), undefined);
  });
  await withStores(path, async ({ catalog }) => assert.equal(there(catalog).get(key("k"))?.toString(), "last"), {
    disk,
  });
  await behind((level) => level.write([{ key: markOf(oldest), value: undefined }], { sync: true }));
  await withStores(path, async ({ catalog }) => assert.equal(catalog, undefined), { disk });

  async function behind(work: (level: LevelHandle) => Promise<void>): Promise<void> {
    const level = await disk.openLevel(folder, memory);
    await work(level);
    await level.close();
  }
});

test("write marks: one that does not match its number, or has another length, counts as missing", async () => {
  for (const [mark, value] of [
    [markOf(3), Buffer.of(1, 2, 3, 4)],
    [Buffer.concat([markOf(3), Buffer.of(0)]), Buffer.of(1, 2, 3, 4)],
  ] as const) {
    const { path, disk } = simulatedPlace();
    await withStores(
      path,
      async ({ catalog }) => {
        for (let turn = 1; turn < 5; turn += 1) await there(catalog).write([put("k", `${turn}`)], { sync: true });
      },
      { disk },
    );
    const level = await disk.openLevel(layout(path).catalog(1), memory);
    await level.write([{ key: mark, value }], { sync: true });
    await level.close();
    await withStores(path, async ({ catalog }) => assert.equal(catalog, undefined), { disk });
  }
});
