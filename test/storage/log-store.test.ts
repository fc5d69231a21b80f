import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex } from "../../node/base/ids.ts";
import { InvariantError } from "../../node/base/invariant.ts";
import { appliedRow, contentOf, entries, entry, lineOf, position, use, vote, withStores } from "./support.ts";
import { onEachDisk } from "./test-disks.ts";

onEachDisk((newPlace) => {
  test("log: entries of every kind and size come back as they were, before and after a restart", async () => {
    const { path, disk } = await newPlace();
    const written = [
      entry(2, 1, ""),
      entry(3, 1, Buffer.alloc(300_000, 7)),
      entry(4, 1, Buffer.from([0, 255, 128])),
      { ...entry(5, 1), kind: "configuration" as const },
      ...entries(6, 40, 3),
    ];
    await withStores(
      path,
      async ({ log }) => {
        await log.persist({ hardState: vote(3), append: written });
        assert.deepEqual(await contentOf(log, 2, 40), written.map(lineOf));
      },
      { disk },
    );
    await withStores(
      path,
      async ({ log }) => {
        assert.deepEqual(await contentOf(log, 2, 40), written.map(lineOf));
        assert.equal(log.recovered.lastIndex, 40);
        assert.deepEqual(log.recovered.termRuns, [position(2, 1), position(6, 3)]);
        assert.deepEqual(log.recovered.hardState, vote(3));
      },
      { disk },
    );
  });

  test("log: a read gives at least one entry, about as many bytes as asked, and nothing outside the log", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ log }) => {
        const data = Buffer.alloc(1000, 1);
        await log.persist({ hardState: undefined, append: [2, 3, 4, 5, 6].map((index) => entry(index, 1, data)) });
        assert.equal((await log.read(logIndex(3), 1)).length, 1);
        assert.equal((await log.read(logIndex(3), 2500)).length, 2);
        assert.deepEqual(
          (await log.read(logIndex(3), 1 << 20)).map((one) => one.index),
          [3, 4, 5, 6],
        );
        assert.deepEqual(await log.read(logIndex(1), 1 << 20), []);
        assert.deepEqual(await log.read(logIndex(7), 1 << 20), []);
      },
      { disk },
    );
  });

  test("log: an append replaces everything from its first index on", async () => {
    const { path, disk } = await newPlace();
    const expected = [...entries(2, 5, 1), ...entries(6, 8, 2)].map(lineOf);
    await withStores(
      path,
      async ({ log }) => {
        await log.persist({ hardState: undefined, append: entries(2, 20, 1) });
        await log.persist({ hardState: vote(2), append: entries(6, 8, 2) });
        assert.deepEqual(await contentOf(log, 2, 20), expected);
      },
      { disk },
    );
    await withStores(
      path,
      async ({ log }) => {
        assert.deepEqual(await contentOf(log, 2, 20), expected);
        assert.equal(log.recovered.lostPromises, false);
        assert.deepEqual(log.recovered.termRuns, [position(2, 1), position(6, 2)]);
      },
      { disk },
    );
  });

  test("log: a gap, an entry before the base, a term that goes back or is ahead of the node's are bugs", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ log }) => {
        await log.persist({ hardState: vote(3), append: entries(2, 5, 3) });
        const refused = (append: ReturnType<typeof entries>) =>
          assert.rejects(log.persist({ hardState: undefined, append }), InvariantError);
        await refused(entries(7, 8, 3));
        await refused(entries(1, 2, 3));
        await refused([entry(6, 3), entry(8, 3)]);
        await refused(entries(6, 6, 2));
        await refused(entries(6, 6, 4));
        assert.equal((await contentOf(log, 2, 9)).length, 4);
      },
      { disk },
    );
  });

  test("log: a trimmed log goes on after its new base, through restarts and in several steps", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ log }) => {
        await log.persist({ hardState: undefined, append: entries(2, 10_000, 1) });
        await log.persist({ hardState: vote(2), append: entries(10_001, 10_010, 2) });
        await log.trim(position(9_990, 1));
        await log.trim(position(9_990, 1));
        assert.deepEqual(await log.read(logIndex(9_990), 100), []);
        assert.deepEqual(
          await contentOf(log, 9_991, 10_010),
          [...entries(9_991, 10_000, 1), ...entries(10_001, 10_010, 2)].map(lineOf),
        );
        await assert.rejects(log.trim(position(10_011, 2)), InvariantError);
        await assert.rejects(log.trim(position(10_005, 1)), InvariantError);
      },
      { disk },
    );
    await withStores(
      path,
      async ({ log, catalog }) => {
        assert.deepEqual(log.recovered.base, position(9_990, 1));
        assert.equal(log.recovered.lastIndex, 10_010);
        assert.equal(catalog, undefined, "this catalog applied only the founding, and the entries after it are gone");
        await log.trim(position(10_010, 2));
        await log.persist({ hardState: undefined, append: entries(10_011, 10_012, 2) });
      },
      { disk },
    );
    await withStores(
      path,
      async ({ log }) => {
        assert.deepEqual(log.recovered.base, position(10_010, 2));
        assert.deepEqual(await contentOf(log, 10_011, 10_012), entries(10_011, 10_012, 2).map(lineOf));
        assert.equal(log.recovered.lostPromises, false);
      },
      { disk },
    );
  });

  test("log: after a reset it is empty and goes on after the snapshot, also one that lies before its former end", async () => {
    for (const to of [position(500, 4), position(10, 4)]) {
      const { path, disk } = await newPlace();
      await withStores(
        path,
        async ({ log, catalog }) => {
          await log.persist({ hardState: vote(4, "n2"), append: entries(2, 20, 1) });
          await catalog?.write([appliedRow(to)], { sync: true });
          await log.reset(to);
          assert.deepEqual(await log.read(logIndex(to.index), 100), []);
          await log.persist({ hardState: undefined, append: entries(to.index + 1, to.index + 3, 4) });
        },
        { disk },
      );
      await withStores(
        path,
        async ({ log }) => {
          assert.deepEqual(log.recovered.base, to);
          assert.deepEqual(log.recovered.hardState, vote(4, "n2"));
          assert.equal(log.recovered.lostPromises, false);
          assert.equal((await contentOf(log, to.index + 1, to.index + 9)).length, 3);
          assert.deepEqual(
            (await disk.names(path)).filter((name) => name.startsWith("log-")),
            ["log-2"],
          );
        },
        { disk },
      );
    }
  });

  test("log: a snapshot installed just before the process died is what the log goes on after", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ log, installCatalog }) => {
        await log.persist({ hardState: undefined, append: entries(2, 20, 1) });
        const installer = await installCatalog();
        await installer.write([appliedRow(position(90, 3))]);
        await installer.complete();
      },
      { disk },
    );
    await withStores(
      path,
      async ({ log }) => {
        assert.deepEqual(log.recovered.base, position(90, 3));
        assert.equal(log.recovered.lastIndex, 90);
        assert.equal(log.recovered.lostPromises, false);
      },
      { disk },
    );
  });

  test("log: reads beside appends, truncations, trims and resets give whole, connected pieces or nothing", async () => {
    const { path, disk } = await newPlace();
    const { log, directory } = await use(path, { disk, tuning: { logWriteBufferBytes: 64 * 1024 } });
    let stop = false;
    let pieces = 0;
    const reader = async (seed: number) => {
      for (let turn = seed; !stop; turn += 1) {
        const from = 2 + ((turn * 37) % 400);
        const read = await log.read(logIndex(from), 2000);
        for (const [offset, one] of read.entries()) {
          assert.equal(one.index, from + offset);
          assert.equal(Buffer.from(one.data).toString(), `entry ${one.index} of ${one.term}`);
        }
        pieces += read.length;
        await new Promise(setImmediate);
      }
    };
    const readers = [reader(0), reader(101), reader(207)];
    let last = 1;
    for (let term = 1; term <= 30; term += 1) {
      const from = Math.max(2, last - 5);
      if (term % 10 === 0) {
        await log.reset(position(last, term - 1));
        await log.persist({ hardState: vote(term), append: entries(last + 1, last + 12, term) });
        last += 12;
        continue;
      }
      const base = log.recovered.base.index;
      const first = from > base && term % 10 > 1 ? from : last + 1;
      await log.persist({ hardState: vote(term), append: entries(first, last + 12, term) });
      last += 12;
      if (term % 10 === 5) await log.trim(position(last - 11, term));
    }
    stop = true;
    await Promise.all(readers);
    assert.ok(pieces > 100, `${pieces} entries read`);
    await directory.close();
  });
});
