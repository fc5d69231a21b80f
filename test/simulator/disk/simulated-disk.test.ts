import assert from "node:assert/strict";
import { test } from "node:test";
import type { StorageDisk } from "../../../node/storage/disk.ts";
import { seeded } from "../../raft/support.ts";
import { bytesOf } from "../../storage/test-disks.ts";
import { SelfWindingClock } from "./self-winding-clock.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const memory = { writeBufferBytes: 0, cacheBytes: 0 };
const seeds = Array.from({ length: 40 }, (_, at) => at + 1);
const [old, young] = [Buffer.alloc(4096, 1), Buffer.alloc(4096, 2)];

function newDisk(seed = 1): { readonly clock: SelfWindingClock; readonly disk: SimulatedDisk } {
  const clock = new SelfWindingClock();
  return { clock, disk: new SimulatedDisk({ clock, random: seeded(seed) }) };
}

async function syncNames(disk: StorageDisk): Promise<void> {
  const root = await disk.open("/", "read");
  await disk.syncDirectory(root);
}

/** A file that holds `old`, all of it synced; its descriptor. */
async function syncedFile(disk: StorageDisk): Promise<number> {
  const fd = await disk.create("/file");
  await disk.write(fd, [old], 0);
  await disk.syncFile(fd);
  await syncNames(disk);
  return fd;
}

/** What of the file's page is left after each of many power cuts. */
async function afterPowerCuts(
  work: (disk: StorageDisk, machine: SimulatedDisk) => Promise<void>,
): Promise<Set<string>> {
  const found = new Set<string>();
  for (const seed of seeds) {
    const { disk } = newDisk(seed);
    await work(disk.boot(), disk);
    disk.crash("power-cut");
    const bytes = await bytesOf(disk.boot(), "/file", 4096);
    found.add(bytes.equals(old) ? "old" : bytes.equals(young) ? "young" : "torn");
  }
  return found;
}

test("simulated disk: a page that was not synced is old, new or torn after a power cut, and one that was is new", async () => {
  const unsynced = await afterPowerCuts(async (disk) => {
    await disk.write(await syncedFile(disk), [young], 0);
  });
  assert.deepEqual([...unsynced].sort(), ["old", "torn", "young"]);
  const synced = await afterPowerCuts(async (disk) => {
    const fd = await syncedFile(disk);
    await disk.write(fd, [young], 0);
    await disk.syncFile(fd);
  });
  assert.deepEqual([...synced], ["young"]);
});

test("simulated disk: what a failed sync was for may be lost although later syncs succeed, until it is written anew", async () => {
  const failing = async (disk: StorageDisk, machine: SimulatedDisk): Promise<number> => {
    const fd = await syncedFile(disk);
    await disk.write(fd, [young], 0);
    machine.failNextSync("/file");
    await assert.rejects(disk.syncFile(fd), { code: "EIO" });
    await disk.syncFile(fd);
    return fd;
  };
  assert.ok((await afterPowerCuts(async (disk, machine) => void (await failing(disk, machine)))).has("old"));
  const rewritten = await afterPowerCuts(async (disk, machine) => {
    const fd = await failing(disk, machine);
    await disk.write(fd, [young], 0);
    await disk.syncFile(fd);
  });
  assert.deepEqual([...rewritten], ["young"]);
});

test("simulated disk: a sync covers what was written before it began, and nothing after", async () => {
  const found = await afterPowerCuts(async (disk) => {
    const fd = await syncedFile(disk);
    const syncing = disk.syncFile(fd);
    await disk.write(fd, [young], 0);
    await syncing;
  });
  assert.ok(found.has("old"));
});

test("simulated disk: a name that was not synced is there or not after a power cut; a kill takes nothing", async () => {
  const found = new Set<boolean>();
  for (const seed of seeds) {
    for (const how of ["power-cut", "kill"] as const) {
      const { disk } = newDisk(seed);
      await disk.boot().create("/file");
      disk.crash(how);
      const isThere = (await disk.boot().names("/")).includes("file");
      if (how === "kill") assert.ok(isThere);
      else found.add(isThere);
    }
  }
  assert.equal(found.size, 2);
});

test("simulated disk: no call of a life that crashed ends any more, or has an effect", async () => {
  const { disk } = newDisk();
  const before = disk.boot();
  const level = await before.createLevel("/level", memory);
  await before.lock("/lock");
  const ended: string[] = [];
  const pending = before.create("/pending").then(() => ended.push("pending"));
  disk.crash("kill");
  const after = disk.boot();
  void pending;
  void before.create("/late").then(() => ended.push("create"));
  void before.removeTree("/level").then(() => ended.push("remove"));
  void level.write([{ key: Buffer.of(1), value: Buffer.of(1) }], { sync: true }).then(() => ended.push("write"));
  const again = await after.openLevel("/level", memory);
  assert.equal(again.get(Buffer.of(1)), undefined);
  await after.lock("/lock");
  assert.equal((await after.names("/")).includes("late"), false);
  assert.deepEqual(ended, []);
});

test("simulated disk: batches that were not synced may be missing in the middle, and a cut leaves the beginning", async () => {
  let holes = 0;
  for (const seed of seeds) {
    const { disk } = newDisk(seed);
    const level = await disk.boot().createLevel("/level", memory);
    for (let number = 0; number < 20; number += 1) {
      await level.write([{ key: Buffer.of(number), value: Buffer.of(number) }], { sync: number === 4 });
    }
    disk.crash("power-cut");
    const again = disk.boot();
    const isCut = (await again.cutLevel("/level")) !== undefined;
    if (isCut) holes += 1;
    const rows = await (await again.openLevel("/level", memory)).first(
      { from: Buffer.of(0), before: Buffer.of(99) },
      99,
    );
    assert.ok(rows.length >= 5);
    assert.deepEqual(
      rows.map(({ key }) => key[0]),
      Array.from(rows, (_, at) => at),
    );
  }
  assert.ok(holes > 3, `${holes} holes`);
});

test("simulated disk: a LevelDB of which a write failed takes all further ones, and keeps none of them", async () => {
  const { disk } = newDisk();
  const level = await disk.boot().createLevel("/level", memory);
  const put = (key: number) => level.write([{ key: Buffer.of(key), value: Buffer.of(key) }], { sync: true });
  await put(1);
  disk.fill(0);
  await assert.rejects(put(2), /No space left/);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await put(3);
  assert.notEqual(level.get(Buffer.of(3)), undefined);
  disk.crash("kill");
  const again = await disk.boot().openLevel("/level", memory);
  assert.notEqual(again.get(Buffer.of(1)), undefined);
  assert.equal(again.get(Buffer.of(3)), undefined);
});

test("simulated disk: a full one takes what fits, what is in place can be written over, and removing makes room", async () => {
  const { disk } = newDisk();
  const booted = disk.boot();
  const fd = await syncedFile(booted);
  disk.fill(1000);
  await assert.rejects(booted.write(fd, [young], 4096), { code: "ENOSPC" });
  assert.equal(booted.sizeOf(fd), 5096);
  await booted.write(fd, [young], 0);
  await assert.rejects(booted.create("/other"), { code: "ENOSPC" });
  assert.equal(await booted.freeBytes("/"), 0);
  await booted.unlink("/file");
  assert.equal(await booted.freeBytes("/"), 5096);
});

test("simulated disk: everything takes so many times as long on one that is slow", async () => {
  const lasting = async (times: number): Promise<number> => {
    const { clock, disk } = newDisk();
    disk.slowDown(times);
    await syncedFile(disk.boot());
    return clock.monotonicMs();
  };
  const [usual, slow] = [await lasting(1), await lasting(10)];
  assert.ok(Math.abs(slow / usual - 10) < 1e-6);
});
