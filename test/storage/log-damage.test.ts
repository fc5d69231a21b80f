import assert from "node:assert/strict";
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Level } from "level";
import { logIndex } from "../../node/base/ids.ts";
import { entryKey } from "../../node/storage/entry-codec.ts";
import type { LogStore } from "../../node/storage/types.ts";
import { cut, filesOf, flipBit } from "./damage.ts";
import { spyDisk } from "./spy-disk.ts";
import {
  appliedRow,
  contentOf,
  entries,
  entry,
  layout,
  lineOf,
  position,
  temporaryDirectory,
  use,
  vote,
  withStores,
} from "./support.ts";

const held = entries(2, 601, 2);

/** A directory with 600 entries; `flushed`: in table files, else still in LevelDB's write-ahead log. */
async function filled(flushed: boolean): Promise<string> {
  const path = await temporaryDirectory();
  await withStores(
    path,
    async ({ log }) => {
      for (let from = 0; from < held.length; from += 20) {
        await log.persist({ hardState: vote(2, "n3"), append: held.slice(from, from + 20) });
      }
    },
    flushed ? { tuning: { logWriteBufferBytes: 16 * 1024 } } : {},
  );
  if (flushed) await (await use(path)).directory.close();
  return path;
}

/** The law of a damaged log: a whole prefix, flagged unless it is complete, and it goes on without a gap. */
async function assertHonest(log: LogStore): Promise<"whole" | "lost"> {
  const { lastIndex, lostPromises, hardState } = log.recovered;
  assert.deepEqual(hardState, vote(2, "n3"));
  assert.deepEqual(
    await contentOf(log, log.recovered.base.index + 1, 700),
    held.slice(log.recovered.base.index - 1, lastIndex - 1).map(lineOf),
  );
  assert.equal(lostPromises, lastIndex < 601 || log.recovered.base.index > 1, `ends at ${lastIndex}`);
  return lostPromises ? "lost" : "whole";
}

test("log damage: with CURRENT removed it is empty after what is applied, and promises are lost until it is refilled", async () => {
  const path = await filled(false);
  await withStores(path, ({ catalog }) =>
    Promise.resolve(catalog?.write([appliedRow(position(100, 2))], { sync: true })),
  );
  await rm(join(layout(path).log(1), "CURRENT"));
  await withStores(path, async ({ log }) => {
    assert.deepEqual(log.recovered.base, position(100, 2));
    assert.equal(log.recovered.lastIndex, 100);
    assert.equal(log.recovered.lostPromises, true);
    assert.deepEqual(log.recovered.hardState, vote(2, "n3"));
    await log.persist({ hardState: undefined, append: held.slice(99, 400) });
  });
  await withStores(path, async ({ log }) => {
    assert.equal(log.recovered.lostPromises, true, "a part is not all");
    await log.persist({ hardState: undefined, append: held.slice(400) });
  });
  await withStores(path, async ({ log }) => {
    assert.equal(log.recovered.lostPromises, false);
    assert.equal(log.recovered.lastIndex, 601);
  });
});

test("log damage: the core's word that all is refilled outlives a restart", async () => {
  const path = await filled(false);
  await rm(join(layout(path).log(1), "CURRENT"));
  await withStores(path, async ({ log }) => {
    assert.equal(log.recovered.lostPromises, true);
    await log.persist({ hardState: vote(5), append: entries(2, 9, 5) });
    await log.promisesRefilled();
    await log.persist({ hardState: undefined, append: entries(9, 10, 5) });
  });
  await withStores(path, async ({ log }) => {
    assert.equal(log.recovered.lostPromises, false);
    assert.equal(log.recovered.lastIndex, 10);
  });
});

test("log damage: a snapshot behind everything promised makes it whole, one before that does not", async () => {
  for (const [to, lost] of [
    [position(700, 4), false],
    [position(300, 4), true],
  ] as const) {
    const path = await filled(false);
    await rm(join(layout(path).log(1), "CURRENT"));
    await withStores(path, async ({ log, catalog }) => {
      await catalog?.write([appliedRow(to)], { sync: true });
      await log.persist({ hardState: vote(4), append: [] });
      await log.reset(to);
    });
    await withStores(path, async ({ log }) => assert.equal(log.recovered.lostPromises, lost, `${to.index}`));
  }
});

test("log damage: without log and catalog it starts from nothing, and says so", async () => {
  const path = await filled(false);
  await rm(layout(path).log(1), { recursive: true });
  await rm(join(layout(path).catalog(1), "CURRENT"));
  await withStores(path, async ({ log, catalog }) => {
    assert.equal(catalog, undefined);
    assert.equal(log.recovered.lastIndex, 0);
    assert.equal(log.recovered.lostPromises, true);
  });
});

test("log damage: a tail that vanished is missed, wherever it was cut", async () => {
  const path = await filled(false);
  const [wal] = await filesOf(layout(path).log(1), ".log");
  assert.ok(wal !== undefined && wal.sizeBytes > 30_000);
  for (const part of [0, 0.2, 0.5, 0.9, 0.999]) {
    const copy = await copyOf(path);
    const [file] = await filesOf(layout(copy).log(1), ".log");
    await cut(file?.path ?? "", Math.floor(wal.sizeBytes * part));
    await withStores(copy, async ({ log }) => assert.equal(await assertHonest(log), "lost"));
  }
});

test("log damage: a removed table file is missed", async () => {
  const path = await filled(true);
  for (const table of await filesOf(layout(path).log(1), ".ldb")) {
    const copy = await copyOf(path);
    await rm(table.path.replace(path, copy));
    await withStores(copy, async ({ log }) => assert.equal(log.recovered.lostPromises, true));
  }
});

for (const { kind, flushed, atLeast } of [
  { kind: ".log", flushed: false, atLeast: 10 },
  { kind: ".ldb", flushed: true, atLeast: 10 },
  { kind: "MANIFEST", flushed: true, atLeast: 1 },
]) {
  test(`log damage: no flipped bit in a ${kind} file makes it serve a wrong or gapped entry, or forget silently`, async (t) => {
    const path = await filled(flushed);
    const count = { whole: 0, lost: 0 };
    for (const file of await filesOf(layout(path).log(1), kind)) {
      const step = Math.max(1, Math.floor(file.sizeBytes / (flushed ? 8 : 20)));
      for (let offset = 5; offset < file.sizeBytes; offset += step) {
        const copy = await copyOf(path);
        await flipBit(file.path.replace(path, copy), offset, offset % 8);
        await withStores(copy, async ({ log }) => {
          count[await assertHonest(log)] += 1;
        });
        await withStores(copy, async ({ log }) => assertHonest(log), {});
        await rm(copy, { recursive: true });
      }
    }
    t.diagnostic(`${count.lost} flips cost entries, ${count.whole} hit nothing that counts`);
    assert.ok(count.lost >= atLeast, JSON.stringify(count));
  });
}

test("log damage: an older state of the whole log, sound in itself, is missed by what it lacks", async () => {
  const path = await temporaryDirectory();
  const log1 = layout(path).log(1);
  await withStores(path, ({ log }) => log.persist({ hardState: undefined, append: entries(2, 20, 1) }));
  await cp(log1, `${path}-older`, { recursive: true });
  await withStores(path, ({ log }) => log.persist({ hardState: vote(2), append: entries(10, 20, 2) }));
  await rm(log1, { recursive: true });
  await cp(`${path}-older`, log1, { recursive: true });
  await withStores(path, async ({ log }) => {
    assert.equal(log.recovered.lostPromises, true);
    assert.ok(log.recovered.lastIndex < 20, "as long as promised, but not what was promised");
  });
});

test("log damage: entries found behind the claim after a crash are covered by it from then on", async () => {
  const path = await temporaryDirectory();
  const log1 = layout(path).log(1);
  await withStores(path, ({ log }) => log.persist({ hardState: undefined, append: entries(2, 5, 1) }));
  await cp(log1, `${path}-older`, { recursive: true });
  const disk = spyDisk();
  await withStores(
    path,
    async ({ log }) => {
      // LevelDB has taken the entries, and the claim is not raised.
      disk.before = ({ operation }) => {
        if (operation === "write") throw new Error("the process died");
      };
      await assert.rejects(log.persist({ hardState: undefined, append: entries(6, 9, 1) }));
    },
    { disk },
  );
  await withStores(path, async ({ log }) => {
    assert.equal(log.recovered.lostPromises, false);
    assert.equal(log.recovered.lastIndex, 9, "the core may acknowledge these without writing them again");
  });
  await rm(log1, { recursive: true });
  await cp(`${path}-older`, log1, { recursive: true });
  await withStores(path, async ({ log }) => assert.equal(log.recovered.lostPromises, true));
});

test("log damage: an overwritten entry that LevelDB brings back is not taken into the chain", async () => {
  const path = await temporaryDirectory();
  await withStores(path, ({ log }) => log.persist({ hardState: undefined, append: entries(2, 20, 1) }));
  const former = await raw(path, (level) => level.get(entryKey(12)));
  await withStores(path, async ({ log }) => {
    await log.persist({ hardState: undefined, append: [entry(10, 1, "another"), ...entries(11, 20, 1)] });
  });
  await raw(path, (level) => level.put(entryKey(12), former ?? assert.fail()));
  await withStores(path, async ({ log }) => {
    assert.equal(log.recovered.lostPromises, true);
    assert.equal(log.recovered.lastIndex, 11);
  });
});

/** Works on the rows of the log behind the store's back. */
async function raw<T>(path: string, work: (level: Level<Uint8Array, Uint8Array>) => Promise<T>): Promise<T> {
  const options = { keyEncoding: "view", valueEncoding: "view", compression: false };
  const level = new Level<Uint8Array, Uint8Array>(layout(path).log(1), options);
  try {
    return await work(level);
  } finally {
    await level.close();
  }
}

test("log damage: an entry that goes bad while running is not handed out, and ends the node", async () => {
  const path = await filled(true);
  await withStores(path, async ({ log }) => {
    for (const { path: file } of await filesOf(layout(path).log(1), ".ldb")) {
      const table = await readFile(file);
      // Only in the data of entries, because LevelDB itself may end the process over other damage.
      for (let at = table.indexOf("entry "); at >= 0; at = table.indexOf("entry ", at + 1)) await flipBit(file, at, 0);
    }
    const failed = (error: unknown) =>
      error instanceof Error && /damaged on disk; restart this node/.test(error.message);
    await assert.rejects(contentOf(log, 2, 601), failed);
    await assert.rejects(log.persist({ hardState: undefined, append: entries(602, 603, 2) }), {
      code: "storage-failed",
    });
    await assert.rejects(log.read(logIndex(2), 10), { code: "storage-failed" });
  });
  await withStores(path, async ({ log }) => assert.equal(await assertHonest(log), "lost"));
});

async function copyOf(path: string): Promise<string> {
  const copy = `${path}-copy-${(copies += 1)}`;
  await cp(path, copy, { recursive: true });
  return copy;
}
let copies = 0;
