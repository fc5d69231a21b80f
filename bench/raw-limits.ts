import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";

/** What this machine's disk and processor can do at most, measured without any of deposito's code. */
export interface RawLimits {
  readonly levelSinglePutsPerSecond: number;
  readonly levelBatchedPutsPerSecond: number;
  readonly syncedFilesPerSecond: number;
  readonly syncedFilesParallelPerSecond: number;
  readonly sequentialMBPerSecond: number;
  readonly sha256MBPerSecond: number;
}

const value = randomBytes(1024);
const mebibyte = randomBytes(1 << 20);

/** Measures all limits one after the other in `folder`, each for about `seconds`. */
export async function measureRawLimits(folder: string, seconds: number): Promise<RawLimits> {
  return {
    levelSinglePutsPerSecond: await levelPuts(join(folder, "level-1"), 1, seconds),
    levelBatchedPutsPerSecond: await levelPuts(join(folder, "level-64"), 64, seconds),
    syncedFilesPerSecond: await syncedFiles(join(folder, "files-1"), 1, seconds),
    syncedFilesParallelPerSecond: await syncedFiles(join(folder, "files-64"), 64, seconds),
    sequentialMBPerSecond: await sequentialWrites(join(folder, "sequential"), seconds),
    sha256MBPerSecond: await sha256(seconds),
  };
}

/** Puts of 1 KiB per second, `perBatch` to one synced batch. */
async function levelPuts(path: string, perBatch: number, seconds: number): Promise<number> {
  const level = new Level<string, Uint8Array>(path, { valueEncoding: "view" });
  await level.open();
  let key = 0;
  const perSecond = await repeat(seconds, perBatch, async () => {
    const puts = Array.from({ length: perBatch }, () => ({ type: "put" as const, key: `k${key++}`, value }));
    await level.batch(puts, { sync: true } as object);
  });
  await level.close();
  return perSecond;
}

/** Files of 1 KiB per second, each written, synced, renamed and its directory synced, `parallel` at a time. */
async function syncedFiles(path: string, parallel: number, seconds: number): Promise<number> {
  await mkdir(path);
  const directory = await open(path, "r");
  let count = 0;
  const one = async () => {
    const name = join(path, `f${count++}`);
    const file = await open(`${name}.stage`, "wx");
    await file.write(value);
    await file.datasync();
    await file.close();
    await rename(`${name}.stage`, name);
  };
  const perSecond = await repeat(seconds, parallel, async () => {
    await Promise.all(Array.from({ length: parallel }, one));
    await directory.sync();
  });
  await directory.close();
  return perSecond;
}

/** MB per second of one file written in chunks of 1 MiB, synced every 64. */
async function sequentialWrites(path: string, seconds: number): Promise<number> {
  const file = await open(path, "wx");
  const perSecond = await repeat(seconds, (64 << 20) / 1e6, async () => {
    for (let chunk = 0; chunk < 64; chunk++) await file.write(mebibyte);
    await file.datasync();
  });
  await file.close();
  return perSecond;
}

function sha256(seconds: number): Promise<number> {
  const hash = createHash("sha256");
  return repeat(seconds, (16 << 20) / 1e6, () => {
    for (let chunk = 0; chunk < 16; chunk++) hash.update(mebibyte);
    return Promise.resolve();
  });
}

/** Units per second of a round that does `unitsPerRound`, repeated for about `seconds`. */
async function repeat(seconds: number, unitsPerRound: number, round: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  let rounds = 0;
  while (performance.now() - startMs < seconds * 1000) {
    await round();
    rounds++;
  }
  return (rounds * unitsPerRound * 1000) / (performance.now() - startMs);
}
