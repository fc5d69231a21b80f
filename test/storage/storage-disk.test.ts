import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Write } from "../../node/catalog/types.ts";
import { LevelClosedError, LevelDamagedError, LevelLockedError, type LevelReader } from "../../node/storage/disk.ts";
import { bytesOf, type DiskPlace, onEachDisk, putFile } from "./test-disks.ts";

// What every disk must do, the simulated one like the real one.

const memory = { writeBufferBytes: 1 << 16, cacheBytes: 1 << 16 };
const everything = { from: Buffer.alloc(0), before: Buffer.of(0xff) };

function put(key: string, value: string): Write {
  return { key: Buffer.from(key), value: Buffer.from(value) };
}

async function textOf(reader: LevelReader): Promise<string> {
  const rows: string[] = [];
  for await (const group of reader.rows(everything, 100)) {
    rows.push(...group.map(({ key, value }) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`));
  }
  return rows.join();
}

onEachDisk((newPlace) => {
  async function place(): Promise<DiskPlace> {
    const { path, disk } = await newPlace();
    await disk.makeDirectory(path);
    return { path, disk };
  }

  test("disk: a file holds what was written where it was written, and reads end where it ends", async () => {
    const { path, disk } = await place();
    const file = join(path, "file");
    const fd = await disk.create(file);
    await disk.write(fd, [Buffer.from("abc"), Buffer.alloc(0), Buffer.from("def")], 2);
    await disk.write(fd, [Buffer.from("X")], 4);
    await disk.write(fd, [], 100);
    assert.equal(disk.sizeOf(fd), 8);
    assert.equal(await disk.sizeAt(file), 8);
    await disk.syncFile(fd);
    disk.close(fd);
    assert.equal((await bytesOf(disk, file, 8)).toString("latin1"), "\0\0abXdef");
    const reading = await disk.open(file, "read");
    const into = Buffer.alloc(10, "-");
    assert.equal(await disk.read(reading, into, 5), 3);
    assert.equal(into.toString(), "def-------");
    assert.equal(await disk.read(reading, into, 50), 0);
    disk.close(reading);
  });

  test("disk: a file is only for what it was opened for", async () => {
    const { path, disk } = await place();
    const created = await disk.create(join(path, "file"));
    await refused("EBADF", () => disk.read(created, Buffer.alloc(1), 0));
    disk.close(created);
    const reading = await disk.open(join(path, "file"), "read");
    await refused("EBADF", () => disk.write(reading, [Buffer.alloc(1)], 0));
    disk.close(reading);
    await refused("EBADF", () => disk.syncFile(reading));
    const both = await disk.open(join(path, "file"), "update");
    await disk.write(both, [Buffer.of(7)], 0);
    const into = Buffer.alloc(1);
    await disk.read(both, into, 0);
    assert.equal(into[0], 7);
    disk.close(both);
  });

  test("disk: names are created once, renamed over others, and gone when they are removed", async () => {
    const { path, disk } = await place();
    const [one, other] = [join(path, "one"), join(path, "other")];
    await putFile(disk, one, Buffer.from("1"));
    await refused("EEXIST", () => disk.create(one));
    await putFile(disk, other, Buffer.from("22"));
    await disk.rename(one, other);
    assert.deepEqual(await disk.names(path), ["other"]);
    assert.equal(await disk.sizeAt(other), 1);
    assert.equal(await disk.sizeAt(one), undefined);
    assert.equal(await disk.unlink(one), false);
    const fd = await disk.open(other, "read");
    assert.equal(await disk.unlink(other), true);
    assert.equal(disk.sizeOf(fd), 1, "who has it open goes on reading");
    disk.close(fd);
    await refused("ENOENT", () => disk.open(other, "read"));
    await refused("ENOENT", () => disk.rename(one, other));
    assert.deepEqual(await disk.names(path), []);
  });

  test("disk: directories are made where there is none, and removed with all in them", async () => {
    const { path, disk } = await place();
    const inner = join(path, "a", "b");
    await refused("ENOENT", () => disk.makeDirectory(inner));
    await disk.makeDirectory(join(path, "a"));
    await disk.makeDirectory(inner);
    await disk.makeDirectory(inner);
    await putFile(disk, join(inner, "file"), Buffer.alloc(1));
    await refused("ENOTDIR", () => disk.sizeAt(join(inner, "file", "deeper")));
    await refused("ENOTDIR", () => disk.names(join(inner, "file")));
    const fd = await disk.open(inner, "read");
    await disk.syncDirectory(fd);
    await refused("EISDIR", () => disk.read(fd, Buffer.alloc(1), 0));
    disk.close(fd);
    await disk.removeTree(join(path, "a"));
    await disk.removeTree(join(path, "a"));
    await refused("ENOENT", () => disk.names(inner));
    assert.deepEqual(await disk.names(path), []);
  });

  test("disk: there is room, and it is told", async () => {
    const { path, disk } = await place();
    assert.ok((await disk.freeBytes(path)) > 0);
  });

  test("disk: a lock makes its folder, has one holder, and is free when it was released", async () => {
    const { path, disk } = await newPlace();
    const folder = join(path, "deep", "lock");
    const lock = await disk.lock(folder);
    await assert.rejects(disk.lock(folder), LevelLockedError);
    await lock.release();
    await (await disk.lock(folder)).release();
    assert.deepEqual(await disk.names(path), ["deep"]);
  });

  test("disk: a LevelDB is created where there is nothing, opened where there is one, by one at a time", async () => {
    const { path, disk } = await place();
    const folder = join(path, "level");
    await assert.rejects(disk.openLevel(folder, memory), LevelDamagedError);
    assert.equal(await disk.cutLevel(folder), undefined);
    const level = await disk.createLevel(folder, memory);
    await assert.rejects(disk.openLevel(folder, memory), LevelLockedError);
    await level.close();
    await refused("EEXIST", () => disk.createLevel(folder, memory));
    await (await disk.openLevel(folder, memory)).close();
    await disk.removeTree(folder);
    await assert.rejects(disk.openLevel(folder, memory), LevelDamagedError);
    await refused("ENOENT", () => disk.createLevel(join(path, "none", "level"), memory));
  });

  test("disk: the rows of a LevelDB are those of its batches, in byte order, also after it was opened again", async () => {
    const { path, disk } = await place();
    const level = await disk.createLevel(join(path, "level"), memory);
    await level.write([put("b", "1"), put("a", "2"), put("\u00e9", "3")], { sync: false });
    await level.write([put("c", "4"), { key: Buffer.from("b"), value: undefined }, put("a", "5")], { sync: true });
    await level.write([], { sync: false });
    await level.sync();
    assert.equal(await textOf(level), "a=5,c=4,\u00e9=3");
    await level.close();
    assert.equal(await disk.cutLevel(join(path, "level")), undefined);
    const again = await disk.openLevel(join(path, "level"), memory);
    assert.equal(await textOf(again), "a=5,c=4,\u00e9=3");
    assert.equal(again.get(Buffer.from("b")), undefined);
    assert.deepEqual(Buffer.from(again.get(Buffer.from("c")) ?? assert.fail()), Buffer.from("4"));
    const firstTwo = await again.first({ from: Buffer.from("a"), before: Buffer.from("c\0") }, 5);
    assert.deepEqual(
      firstTwo.map(({ key }) => Buffer.from(key).toString()),
      ["a", "c"],
    );
    assert.equal((await again.first(everything, 1)).length, 1);
    await again.close();
  });

  test("disk: what is handed to a LevelDB may be used again by its owner", async () => {
    const { path, disk } = await place();
    const level = await disk.createLevel(join(path, "level"), memory);
    const write = put("k", "before");
    await level.write([write], { sync: true });
    write.key.fill(0);
    write.value?.fill(0);
    assert.equal(await textOf(level), "k=before");
    await level.close();
  });

  test("disk: a snapshot and a walk that has begun see one moment, whatever is written meanwhile", async () => {
    const { path, disk } = await place();
    const level = await disk.createLevel(join(path, "level"), memory);
    await level.write(numbered(0, 2500, "old"), { sync: false });
    const snapshot = level.snapshot();
    const walk = level.rows(everything, 1 << 20);
    const seen = [...((await walk.next()).value ?? [])];
    await level.write([...numbered(500, 2000, "new"), put("k99999", "new")], { sync: false });
    for await (const group of walk) seen.push(...group);
    assert.equal(seen.length, 2500);
    assert.ok(seen.every(({ value }) => Buffer.from(value).toString() === "old"));
    assert.equal((await textOf(snapshot)).includes("new"), false);
    assert.equal(Buffer.from(snapshot.get(Buffer.from("k00600")) ?? assert.fail()).toString(), "old");
    assert.equal((await snapshot.first(everything, 3000)).length, 2500);
    await snapshot.close();
    assert.throws(() => snapshot.get(Buffer.from("k00600")), LevelClosedError);
    await assert.rejects(snapshot.first(everything, 1), LevelClosedError);
    await level.close();
  });

  test("disk: reads of a LevelDB that was closed, or is closed in the middle, say so", async () => {
    const { path, disk } = await place();
    const level = await disk.createLevel(join(path, "level"), memory);
    await level.write(numbered(0, 2500, "x"), { sync: false });
    const snapshot = level.snapshot();
    const walk = level.rows(everything, 1000);
    await walk.next();
    await level.close();
    await assert.rejects(walk.next(), LevelClosedError);
    assert.throws(() => level.get(Buffer.from("k")), LevelClosedError);
    assert.throws(() => snapshot.get(Buffer.from("k")), LevelClosedError);
    await assert.rejects(level.first(everything, 1), LevelClosedError);
    await assert.rejects(textOf(level), LevelClosedError);
    await assert.rejects(level.write([put("k", "1")], { sync: true }));
    await level.close();
  });
});

function numbered(from: number, to: number, value: string): Write[] {
  return Array.from({ length: to - from }, (_, at) => put(`k${String(from + at).padStart(5, "0")}`, value));
}

async function refused(code: string, call: () => unknown): Promise<void> {
  await assert.rejects(async () => call(), { code });
}
