import assert from "node:assert/strict";
import fs, { readdirSync } from "node:fs";
import { appendFile, cp, open, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { test } from "node:test";
import { readLevelLog } from "../../node/storage/system/level-records.ts";
import { cutWal } from "../../node/storage/system/level-wal.ts";
import { filesOf, flipBit } from "./damage.ts";
import { cutPower, pageBytes, randomFrom, replay, type Taken, takeTurns, turnOf } from "./power-cut.ts";
import { layout, temporaryDirectory, withStores } from "./support.ts";
import { groupFrom, rowsOf, writesOf } from "./turns.ts";

const seeds = 16;

for (const when of ["one-file", "two-files", "two-synced"] as const) {
  test(`power cut (${when}): whatever pages were lost, the catalog is the state after some write since the last synced one, and the log has the rest`, async (t) => {
    const path = await temporaryDirectory();
    const taken = await takeTurns(path, when, 100);
    const files = await filesOf(layout(path).catalog(1), ".log");
    assert.equal(files.length, when === "one-file" ? 1 : 2);
    let earlier = 0;
    const ends = new Set<number>();
    for (let seed = 1; seed <= seeds; seed += 1) {
      const copy = await copyOf(path);
      await t.test(`seed ${seed}`, async () => {
        const lost = await cutPower(copy, taken, randomFrom(seed));
        await withStores(copy, async (stores) => {
          const turn = await turnOf(stores);
          assert.ok(turn >= taken.turn, `turn ${turn}, ${taken.turn} was synced`);
          if (lost === 0) assert.equal(turn, taken.taken);
          if (turn < taken.taken) earlier += 1;
          ends.add(turn);
          await replay(stores, taken, turn);
        });
        await withStores(copy, async ({ catalog, log }) => {
          const rows = catalog === undefined ? undefined : await rowsOf(catalog);
          assert.match(rows?.get("applied") ?? "", new RegExp(`"index":${log.recovered.lastIndex},`));
        });
      });
      await rm(copy, { recursive: true });
    }
    t.diagnostic(`${earlier} of ${seeds} cuts cost writes; ${ends.size} different states`);
    assert.ok(earlier > seeds / 2 && ends.size > 2, `${earlier} cuts, ${ends.size} states`);
  });
}

test("power cut: with a hole in the catalogs of all three nodes at once, each has every acknowledged entry in log and catalog", async () => {
  const nodes = await Promise.all(
    (["one-file", "two-files", "two-files"] as const).map(async (when, at) => {
      const path = await temporaryDirectory();
      return { path, taken: await takeTurns(path, when, 100 + 7 * at) };
    }),
  );
  for (const { path, taken } of nodes) {
    await loseOnePage(path, taken);
    await withStores(path, async (stores) => {
      const turn = await turnOf(stores);
      assert.ok(turn >= taken.turn && turn < taken.taken, `turn ${turn} of ${taken.turn} to ${taken.taken}`);
      await replay(stores, taken, turn);
    });
  }
});

/** Zeros one page that was not synced; what lies behind it stays. */
async function loseOnePage(path: string, taken: Taken): Promise<void> {
  for (const { path: file, sizeBytes } of await filesOf(layout(path).catalog(1), ".log")) {
    const page = Math.ceil((taken.walBytes[basename(file)] ?? 0) / pageBytes) * pageBytes;
    if (page + 2 * pageBytes > sizeBytes) continue;
    const handle = await open(file, "r+");
    await handle.write(Buffer.alloc(pageBytes), 0, pageBytes, page);
    await handle.close();
    return;
  }
  assert.fail("nothing would lie behind the hole");
}

test("power cut: a flipped bit at rest, also where it was synced, gives an earlier state or none, never a mixture or one that the log does not reach", async (t) => {
  const path = await temporaryDirectory();
  const taken = await takeTurns(path, "one-file", 100);
  const [wal] = await filesOf(layout(path).catalog(1), ".log");
  assert.ok(wal !== undefined);
  const count = { none: 0, earlier: 0 };
  for (let offset = 100; offset < wal.sizeBytes; offset += Math.floor(wal.sizeBytes / 24)) {
    const copy = await copyOf(path);
    await flipBit(wal.path.replace(path, copy), offset, offset % 8);
    await withStores(copy, async (stores) => {
      assert.equal(stores.log.recovered.lostPromises, false);
      count[stores.catalog === undefined ? "none" : "earlier"] += 1;
      if (stores.catalog === undefined) return;
      const turn = await turnOf(stores);
      assert.ok(turn < taken.taken);
      await replay(stores, taken, turn);
    });
    await rm(copy, { recursive: true });
  }
  t.diagnostic(JSON.stringify(count));
  assert.ok(count.none > 5 && count.earlier > 5, JSON.stringify(count));
});

test("power cut: without the older file of the write-ahead log the newer one counts for nothing", async () => {
  const path = await temporaryDirectory();
  await takeTurns(path, "two-files", 100);
  const [older] = await filesOf(layout(path).catalog(1), ".log");
  await rm(older?.path ?? assert.fail());
  const cut = await cutWal(layout(path).catalog(1));
  assert.equal(cut?.removed.length, 1);
  assert.equal(await cutWal(layout(path).catalog(1)), undefined, "once is enough");
  await withStores(path, async ({ catalog, log }) => {
    // The log was trimmed for what that file held.
    assert.ok(log.recovered.base.index > 1);
    assert.equal(catalog, undefined);
  });
});

test("power cut: cutting that was itself cut off, with the newer file gone and the older still damaged, is done again", async () => {
  const path = await temporaryDirectory();
  const taken = await takeTurns(path, "two-files", 100);
  const [older, newer] = await filesOf(layout(path).catalog(1), ".log");
  assert.ok(older !== undefined && newer !== undefined);
  await flipBit(older.path, older.sizeBytes - 100, 0);
  const copy = await copyOf(path);
  await rm(newer.path.replace(path, copy));
  const turns = [];
  for (const one of [path, copy]) turns.push(await withStores(one, turnOf));
  assert.ok(turns[0] === turns[1] && (turns[0] ?? 0) >= taken.turn, `${turns.join(", ")} of ${taken.turn}`);
});

/** A catalog with some writes in its write-ahead log, all in one block, and its batches with the turns they end at. */
async function someWrites() {
  const path = await temporaryDirectory();
  const turns: number[] = [];
  await withStores(path, async ({ catalog }) => {
    for (let turn = 1; turn <= 9; turn = (turns.at(-1) ?? 0) + 1) {
      const last = groupFrom(turn);
      const group = Array.from({ length: last - turn + 1 }, (_, offset) => writesOf(turn + offset));
      await catalog?.write(group.flat(), { sync: false });
      turns.push(last);
    }
  });
  const [wal] = await filesOf(layout(path).catalog(1), ".log");
  assert.ok(wal !== undefined && wal.sizeBytes < 32_768);
  const file = await readFile(wal.path);
  const { records } = readLevelLog(file);
  assert.equal(records.length, turns.length);
  return { path, wal: wal.path, file, ends: records.map(({ end }) => end), turns };
}

test("power cut: a write that is missing where all that is left has right checksums ends the history there", async () => {
  const { path, wal, file, ends, turns } = await someWrites();
  await writeFile(wal, Buffer.concat([file.subarray(0, ends[2]), file.subarray(ends[3])]));
  assert.equal(await withStores(path, turnOf), turns[2]);
});

test("power cut: batches of a former file behind the last one are not taken for new ones", async () => {
  const { path, wal, file, ends, turns } = await someWrites();
  await appendFile(wal, file.subarray(ends[0], ends[1]));
  assert.match((await cutWal(layout(path).catalog(1)))?.finding ?? "", /is due/);
  assert.equal(await withStores(path, turnOf), turns.at(-1));
});

test("power cut: zeros from one batch to the end of another, or behind the last, cost nothing but what they cover", async () => {
  const { path, wal, file, ends, turns } = await someWrites();
  const copy = await copyOf(path);
  await appendFile(wal, Buffer.alloc(100_000));
  assert.equal((await cutWal(layout(path).catalog(1)))?.finding, "zeros");
  assert.deepEqual(await readFile(wal), file);
  await writeFile(wal.replace(path, copy), Buffer.from(file).fill(0, ends[1], ends[2]));
  assert.equal(await withStores(copy, turnOf), turns[1]);
});

test("power cut: nothing is cut from a whole write-ahead log", async () => {
  const path = await temporaryDirectory();
  await takeTurns(path, "two-files", 100);
  assert.equal(await cutWal(layout(path).catalog(1)), undefined);
});

test("catalog: a synced write syncs every file of the write-ahead log that still counts, and the folder", {
  skip: process.platform !== "linux" && "needs /proc",
}, async (t) => {
  const path = await temporaryDirectory();
  const synced = new Set<string>();
  const note = (sync: typeof fs.fsync) => (fd: number, done: fs.NoParamCallback) => {
    synced.add(basename(fs.readlinkSync(`/proc/self/fd/${fd}`)));
    sync(fd, done);
  };
  t.mock.method(fs, "fdatasync", note(fs.fdatasync));
  t.mock.method(fs, "fsync", note(fs.fsync));
  await withStores(
    path,
    async ({ catalog }) => {
      const walNames = () => readdirSync(layout(path).catalog(1)).filter((name) => name.endsWith(".log"));
      for (let turn = 1; turn < 1000; turn += 1) {
        const write = { key: Buffer.from(`k${turn % 30}`), value: Buffer.alloc(1 << 19, turn) };
        await catalog?.write([write], { sync: false });
        if (walNames().length < 2) continue;
        synced.clear();
        await catalog?.write([write], { sync: true });
        const counting = walNames();
        assert.deepEqual(
          ["catalog-1", ...counting].filter((name) => !synced.has(name)),
          [],
        );
        // Otherwise the table of the older one was ready in the meantime.
        if (counting.length === 2) return;
      }
      assert.fail("there were never two files");
    },
    { tuning: { catalogWriteBufferBytes: 16 << 20 } },
  );
});

let copies = 0;
async function copyOf(path: string): Promise<string> {
  const copy = `${path}-copy-${(copies += 1)}`;
  await cp(path, copy, { recursive: true });
  return copy;
}
