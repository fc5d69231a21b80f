import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { logIndex, newIncarnation } from "../../node/base/ids.ts";
import { LevelClosedError, LevelDamagedError, type LevelHandle, type LevelReader } from "../../node/storage/disk.ts";
import { baseKey } from "../../node/storage/entry-codec.ts";
import { everything, key, put, there } from "./catalog-rows.ts";
import { type SpyDisk, spyDisk, systemError } from "./spy-disk.ts";
import { appliedRow, entries, entry, layout, openDirectory, position, use, vote, withStores } from "./support.ts";
import { type DiskPlace, onEachDisk, putFile } from "./test-disks.ts";

// What becomes of a data directory when the disk below it refuses, or tells of damage by itself.

const memory = { writeBufferBytes: 1 << 16, cacheBytes: 1 << 16 };
const failed = { code: "storage-failed" };
const noticed = new Error("Corruption: block checksum mismatch");

/** Reads that end with this error. */
function failing(error: Error): LevelReader {
  return {
    get() {
      throw error;
    },
    async *rows() {
      yield await Promise.reject(error);
    },
    first: () => Promise.reject(error),
  };
}

interface Disturbed extends DiskPlace {
  readonly disk: SpyDisk;
}

/** From now on, reads of the first log or catalog are answered so. */
function disturb({ path, disk }: Disturbed, what: "log" | "catalog", reads: Partial<LevelReader>): void {
  disk.reads = (level) => (level === layout(path)[what](1) ? reads : {});
}

onEachDisk((newPlace) => {
  /** A directory with entries 2 to 20 and some rows, and its disk to be disturbed. */
  async function filled(): Promise<Disturbed> {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ log, catalog }) => {
        await log.persist({ hardState: vote(2), append: entries(2, 20, 2) });
        await there(catalog).write([put("k1", "1"), put("k2", "2")], { sync: true });
      },
      { disk },
    );
    return { path, disk: spyDisk(disk) };
  }

  for (const [what, value] of [
    ["gone", undefined],
    ["damaged", Buffer.alloc(48)],
    ["cut", Buffer.alloc(47)],
  ] as const)
    test(`log failure: with its base row ${what} it begins anew, and promises are lost`, async () => {
      const { path, disk } = await filled();
      const level: LevelHandle = await disk.openLevel(layout(path).log(1), memory);
      await level.write([{ key: baseKey, value }], { sync: true });
      await level.close();
      const { log, directory } = await use(path, { disk });
      assert.equal(log.recovered.lostPromises, true);
      assert.equal(log.recovered.lastIndex, 1);
      await directory.close();
    });

  test("log failure: what LevelDB itself notices on the start is damage like any other", async () => {
    for (const reads of [failing(noticed), { rows: failing(noticed).rows }]) {
      const place = await filled();
      disturb(place, "log", reads);
      const { log, directory } = await use(place.path, place);
      assert.equal(log.recovered.lostPromises, true);
      await directory.close();
    }
  });

  test("log failure: a start that is broken off is not called damage", async () => {
    const place = await filled();
    const closed = new LevelClosedError("closed");
    disturb(place, "log", { rows: failing(closed).rows });
    await assert.rejects(use(place.path, place), closed);
    disturb(place, "log", {});
    await withStores(place.path, async ({ log }) => assert.equal(log.recovered.lostPromises, false), place);
  });

  test("log failure: one that cannot be opened ends the start, and the catalog is closed again", async () => {
    const { path, disk } = await filled();
    disk.before = (call) => {
      if (call.operation === "open-level" && call.path === layout(path).log(1)) throw systemError("EMFILE");
    };
    await assert.rejects(use(path, { disk }), failed);
    disk.before = () => undefined;
    const { log, catalog, directory } = await use(path, { disk });
    assert.ok(catalog !== undefined && !log.recovered.lostPromises);
    await directory.close();
  });

  test("log failure: an entry that is damaged or gone while the node runs is not built upon", async () => {
    for (const get of [() => Buffer.alloc(60), () => undefined, failing(noticed).get]) {
      const place = await filled();
      const { log, directory } = await use(place.path, place);
      disturb(place, "log", { get });
      await assert.rejects(log.persist({ hardState: vote(3), append: [entry(10, 3)] }), failed);
      await assert.rejects(log.persist({ hardState: undefined, append: entries(21, 22, 2) }), failed);
      await directory.close();
    }
  });

  test("log failure: a walk that ends before the last entry is not taken for the end of the log", async () => {
    const place = await filled();
    const { log, directory } = await use(place.path, place);
    disturb(place, "log", { async *rows() {} });
    await assert.rejects(log.read(logIndex(5), 1 << 20), failed);
    await directory.close();
  });

  test("log failure: reads of a log that was closed say that, and not that it is damaged", async () => {
    const { path, disk } = await filled();
    const { log, directory } = await use(path, { disk });
    await directory.close();
    await assert.rejects(log.read(logIndex(5), 1 << 20), { code: "storage-failed", message: "the log is closed" });
  });

  test("log: when nothing was lost, the word that all is refilled changes nothing", async () => {
    const { path, disk } = await filled();
    const { log, directory } = await use(path, { disk });
    disk.done.length = 0;
    await log.promisesRefilled();
    assert.deepEqual(disk.done, []);
    await directory.close();
  });

  test("catalog failure: what LevelDB itself notices is damage, on the start and while the node runs", async () => {
    const place = await filled();
    const running = await use(place.path, place);
    disturb(place, "catalog", failing(noticed));
    const damaged = { code: "catalog-damaged" };
    assert.throws(() => there(running.catalog).get(key("k1")), damaged);
    await assert.rejects(there(running.catalog).range(everything), damaged);
    await running.directory.close();
    await withStores(place.path, async ({ catalog }) => assert.equal(catalog, undefined), place);
  });

  test("catalog failure: a start that is broken off while it is read is not called damage", async () => {
    const place = await filled();
    disturb(place, "catalog", failing(new LevelClosedError("closed")));
    await assert.rejects(use(place.path, place), LevelClosedError);
    disturb(place, "catalog", {});
    await withStores(place.path, async ({ catalog }) => assert.notEqual(catalog, undefined), place);
  });

  test("catalog failure: an installed one that cannot be read back does not take the place of the former", async () => {
    const { path, disk } = await filled();
    const { installCatalog, directory } = await use(path, { disk });
    const installer = await installCatalog();
    await installer.write([appliedRow(position(50, 2))]);
    disk.before = ({ operation }) => {
      if (operation === "open-level") throw new LevelDamagedError("a table is damaged");
    };
    await assert.rejects(installer.complete(), failed);
    disk.before = () => undefined;
    await directory.close();
    await withStores(path, async ({ catalog }) => assert.notEqual(there(catalog).get(key("k1")), undefined), { disk });
  });

  test("catalog failure: one that cannot be opened for want of something else ends the start", async () => {
    const { path, disk } = await filled();
    disk.before = (call) => {
      if (call.operation === "open-level" && call.path === layout(path).catalog(1)) throw systemError("EMFILE");
    };
    await assert.rejects(use(path, { disk }), failed);
  });

  test("catalog: an installation that has ended takes nothing more", async () => {
    const { path, disk } = await filled();
    const { installCatalog, directory } = await use(path, { disk });
    const installer = await installCatalog();
    await installer.cancel();
    await assert.rejects(installer.write([put("k", "v")]), failed);
    await assert.rejects(installer.complete(), failed);
    await directory.close();
  });

  test("data directory: a path that is a file is refused as foreign; a blank one was never booted", async () => {
    const { path, disk } = await newPlace();
    const blank = await openDirectory(path, { disk });
    assert.equal(blank.boots, 0);
    await blank.close();
    await putFile(disk, join(path, "file"), Buffer.of(1));
    await assert.rejects(openDirectory(join(path, "file"), { disk }), { code: "data-directory-foreign" });
  });

  test("data directory: a lock that cannot be made ends the start", async () => {
    const { path, disk } = await newPlace();
    await disk.makeDirectory(path);
    await putFile(disk, join(path, "lock"), Buffer.of(1));
    await assert.rejects(openDirectory(path, { disk }), failed);
  });

  test("data directory: a hard-state file that cannot be opened or read ends the start, and says nothing of its content", async () => {
    for (const operation of ["open", "read"]) {
      const { path, disk } = await filled();
      disk.before = (call) => {
        if (call.operation === operation && call.path === layout(path).hardState) throw systemError("EIO");
      };
      await assert.rejects(openDirectory(path, { disk }), failed);
      disk.before = () => undefined;
      await withStores(path, async ({ log }) => assert.equal(log.recovered.lostPromises, false), { disk });
    }
  });

  test("data directory: a failed claim is told, whatever the disk throws", async () => {
    const { path, disk: bare } = await newPlace();
    const disk = spyDisk(bare);
    const directory = await openDirectory(path, { disk });
    disk.before = ({ operation }) => {
      const anything: unknown = "no error at all";
      if (operation === "rename") throw anything;
    };
    await assert.rejects(directory.claim(newIncarnation()), { ...failed, message: /no error at all/ });
    await directory.close();
  });
});
