import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { LevelDamagedError } from "../../node/storage/disk.ts";
import { FailStop } from "../../node/storage/fail-stop.ts";
import { createLevel, type LevelOptions, type LevelStore, openLevel } from "../../node/storage/level.ts";
import { readLevelLog } from "../../node/storage/system/level-records.ts";
import { damageInTables } from "../../node/storage/system/level-tables.ts";
import { systemDisk } from "../../node/storage/system/system-disk.ts";
import { temporaryDirectory } from "./support.ts";

function optionsFor(path: string): LevelOptions {
  return {
    path,
    memory: { writeBufferBytes: 64 * 1024, cacheBytes: 64 * 1024 },
    disk: systemDisk,
    failStop: new FailStop(),
    openLevels: new Set<LevelStore>(),
  };
}

test("LevelDB: one whose CURRENT is gone, or all of it, is refused and never created anew", async () => {
  const path = await temporaryDirectory();
  const level = await createLevel(optionsFor(path));
  await level.write([{ key: Buffer.of(1), value: Buffer.of(2) }], { sync: true });
  await level.close();
  await rm(join(path, "CURRENT"));
  await assert.rejects(openLevel(optionsFor(path)), LevelDamagedError);
  assert.equal((await readdir(path)).includes("CURRENT"), false);
  await rm(path, { recursive: true });
  await assert.rejects(openLevel(optionsFor(path)), LevelDamagedError);
});

test("LevelDB: creating one where something lies already is refused", async () => {
  const path = await temporaryDirectory();
  await mkdir(path);
  await writeFile(join(path, "CURRENT"), "");
  await assert.rejects(createLevel(optionsFor(path)), { code: "storage-failed" });
});

test("LevelDB: a second handle on an open one is not called damage", async () => {
  const path = await temporaryDirectory();
  const level = await createLevel(optionsFor(path));
  await assert.rejects(openLevel(optionsFor(path)), { code: "storage-failed" });
  await level.close();
});

test("LevelDB: half-written tables that a compaction left behind do not count as damage", async () => {
  const path = await temporaryDirectory();
  const level = await createLevel(optionsFor(path));
  await level.write([{ key: Buffer.of(1), value: Buffer.alloc(100_000) }], { sync: true });
  await level.close();
  await writeFile(join(path, "009999.ldb"), "half a table");
  const again = await openLevel(optionsFor(path));
  assert.equal(again.get(Buffer.of(1))?.byteLength, 100_000);
  await again.close();
});

test("LevelDB: a manifest with a hole is damage; the beginning of an edit at its end, or zeros there, are not", async () => {
  const path = await temporaryDirectory();
  const level = await createLevel(optionsFor(path));
  for (let turn = 1; turn <= 10; turn += 1) {
    await level.write([{ key: Buffer.of(turn), value: Buffer.alloc(40_000) }], { sync: true });
  }
  await level.close();
  const manifest = join(path, (await readFile(join(path, "CURRENT"), "latin1")).trim());
  const whole = await readFile(manifest);
  const { records } = readLevelLog(whole);
  assert.ok(records.length >= 3);
  for (const tail of [Buffer.alloc(5000), whole.subarray(0, 20)]) {
    await writeFile(manifest, Buffer.concat([whole, tail]));
    assert.equal(await damageInTables(path), undefined);
  }
  // LevelDB would skip what follows, and open an older state.
  await writeFile(manifest, Buffer.from(whole).fill(0, records.at(-3)?.end, records.at(-2)?.end));
  await assert.rejects(openLevel(optionsFor(path)), LevelDamagedError);
});
