import assert from "node:assert/strict";
import { test } from "node:test";
import { InvariantError } from "../../node/base/invariant.ts";
import { everything, key, put, rows, textOf, there } from "./catalog-rows.ts";
import { appliedRow, base, layout, openDirectory, position, use, withStores } from "./support.ts";
import { onEachDisk } from "./test-disks.ts";

onEachDisk((newPlace) => {
  test("catalog: puts and removals are all there after a restart, in key order by bytes", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ catalog }) => {
        await there(catalog).write([put("kb", "2"), put("ka", ""), put("kab", "1"), put("k\u00ff", "3")], {
          sync: false,
        });
        await there(catalog).write([{ key: key("kb"), value: undefined }], { sync: true });
      },
      { disk },
    );
    await withStores(
      path,
      async ({ catalog }) => {
        assert.deepEqual(await textOf(there(catalog)), ["ka=", "kab=1", "k\u00ff=3"]);
        assert.equal(there(catalog).get(key("kb")), undefined);
        assert.equal(there(catalog).get(key("kab"))?.toString(), "1");
      },
      { disk },
    );
  });

  test("catalog: a range honours its bounds and limit, and never shows the store's own rows", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ catalog }) => {
        await there(catalog).write([put("a", "1"), put("b", "2"), put("c", "3")], { sync: false });
        assert.deepEqual(await textOf(there(catalog), { from: key("a"), before: key("c"), limit: 9 }), [
          "a=1",
          "applied=" + JSON.stringify(base),
          "b=2",
        ]);
        assert.deepEqual(await textOf(there(catalog), { from: key("b"), before: key("z"), limit: 1 }), ["b=2"]);
        assert.deepEqual(await textOf(there(catalog), { from: key("c"), before: key("b"), limit: 5 }), []);
        assert.deepEqual(await textOf(there(catalog), { from: key("a"), before: key("z"), limit: 0 }), []);
        const all = await there(catalog).range({ from: Buffer.alloc(0), before: Buffer.alloc(9, 0xff), limit: 100 });
        assert.equal(all.length, 4);
        await assert.rejects(
          there(catalog).write([{ key: Buffer.of(0xff, 1), value: key("x") }], { sync: false }),
          InvariantError,
        );
      },
      { disk },
    );
  });

  test("catalog: a snapshot does not move, whatever is written after it", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ catalog }) => {
        await there(catalog).write(rows(1, 2500), { sync: false });
        const snapshot = there(catalog).snapshot();
        await there(catalog).write(
          [put("k000001", "changed"), { key: key("k000002"), value: undefined }, ...rows(3000, 3100)],
          { sync: false },
        );
        assert.equal(snapshot.get(key("k000001"))?.toString().startsWith("value of"), true);
        assert.equal((await snapshot.range(everything)).length, 2500);
        assert.equal((await there(catalog).range(everything)).length, 2600);
        await snapshot.close();
      },
      { disk },
    );
  });

  test("catalog: an installed one replaces the former at once, and the former goes away", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ catalog, installCatalog }) => {
        await there(catalog).write(rows(1, 10), { sync: true });
        const installer = await installCatalog();
        await installer.write([...rows(50, 60), appliedRow(position(9, 2))]);
        assert.equal(there(catalog).get(key("k000050")), undefined);
        const installed = await installer.complete();
        assert.equal((await installed.range(everything)).length, 11);
        await installed.write(rows(61, 61), { sync: true });
        await installer.cancel();
        assert.deepEqual(
          (await disk.names(path)).filter((name) => name.startsWith("catalog")),
          ["catalog-2"],
        );
      },
      { disk },
    );
    await withStores(
      path,
      async ({ catalog, log }) => {
        assert.equal((await there(catalog).range(everything)).length, 12);
        assert.deepEqual(log.recovered.base, position(9, 2));
      },
      { disk },
    );
  });

  test("catalog: an installation that was cancelled or cut off leaves the former, and no litter", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ catalog, installCatalog }) => {
        await there(catalog).write(rows(1, 10), { sync: true });
        const cancelled = await installCatalog();
        await cancelled.write(rows(50, 60));
        await cancelled.cancel();
        await cancelled.cancel();
        const cutOff = await installCatalog();
        await cutOff.write(rows(50, 60));
      },
      { disk },
    );
    await withStores(
      path,
      async ({ catalog }) => {
        assert.equal((await there(catalog).range(everything)).length, 10);
        assert.deepEqual(
          (await disk.names(path)).filter((name) => name.startsWith("catalog")),
          ["catalog-1"],
        );
      },
      { disk },
    );
  });

  test("catalog: a condemned one is not opened again; the one installed after it is", async () => {
    const { path, disk } = await newPlace();
    await withStores(path, ({ condemnCatalog }) => condemnCatalog(), { disk });
    await withStores(
      path,
      async ({ catalog, installCatalog }) => {
        assert.equal(catalog, undefined);
        const installer = await installCatalog();
        await installer.write([appliedRow(base)]);
        await installer.complete();
      },
      { disk },
    );
    await withStores(path, async ({ catalog }) => assert.notEqual(catalog, undefined), { disk });
  });

  test("catalog: reads after the directory was closed say so, and are not called damage", async () => {
    const { path, disk } = await newPlace();
    const directory = await openDirectory(path, { disk });
    await directory.close();
    const { catalog, directory: used } = await use(path, { disk });
    await used.close();
    await assert.rejects(there(catalog).range(everything), { code: "no-quorum" });
    assert.throws(() => there(catalog).get(key("k")), { code: "no-quorum" });
  });

  test("catalog damage: one that lacks a write before its last is not used, whatever else is right", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ catalog }) => {
        for (let turn = 1; turn <= 20; turn += 1) await there(catalog).write([put("k", String(turn))], { sync: false });
      },
      { disk },
    );
    const memory = { writeBufferBytes: 1 << 16, cacheBytes: 1 << 16 };
    const behind = await disk.openLevel(layout(path).catalog(1), memory);
    const [mark] = await behind.first(
      { from: Buffer.of(0xff, 0, 0, 0, 0, 0, 0, 0, 9), before: Buffer.of(0xff, 0xff) },
      1,
    );
    await behind.write([{ key: mark?.key ?? assert.fail(), value: undefined }], { sync: true });
    await behind.close();
    await withStores(path, async ({ catalog }) => assert.equal(catalog, undefined), { disk });
  });
});
