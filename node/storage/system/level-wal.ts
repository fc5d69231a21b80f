import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { namesIn, syncDirectory } from "../directories.ts";
import { type LevelCut, systemCode } from "../disk.ts";
import { systemFiles } from "./files.ts";
import { liveFiles } from "./level-manifest.ts";
import { readLevelLog } from "./level-records.ts";

/**
 * The write-ahead log of a LevelDB after a power cut: what was not synced may be gone in any place, not only at the end.
 * LevelDB drops what it cannot read and replays what lies behind it, a state that never was. So this runs before it, and
 * leaves the longest beginning in which every batch follows the one before:
 *
 *   000007.log   batch 1..5 │ batch 6..9 │ 000000000000 │ batch 17..20 │      the older: its table is not yet written
 *                                        └── cut here
 *   000009.log   batch 21..30 │ batch 31                                      removed first
 *
 *   batch (`db/write_batch.cc`):  sequence number of its first change 8 · count of changes 4 · changes
 *
 * A batch is one record, so it is kept whole or not at all. The sequence numbers go on from file to file: they tell of
 * batches that are missing where all that is left has right checksums, and of blocks of former files.
 *
 * `StorageDisk.cutLevel` on the real disk: durable when it resolves. What cannot be read is left to LevelDB to refuse.
 */
export async function cutWal(folder: string): Promise<LevelCut | undefined> {
  const live = await liveFiles(folder);
  if (live === undefined) return undefined;
  const [oldest, ...newer] = await liveWals(folder, live.oldestWal);
  if (oldest === undefined) return undefined;
  // LevelDB creates the file before it syncs the manifest that names it.
  if (oldest.number !== live.oldestWal && live.oldestWal > 0) {
    return cutAt(folder, join(folder, nameOf(live.oldestWal)), { keep: 0, of: 0, finding: "gone" }, [oldest, ...newer]);
  }
  let next: bigint | undefined;
  for (let wal: Wal | undefined = oldest; wal !== undefined; wal = newer.shift()) {
    const file = await readFile(wal.path).catch(() => undefined);
    if (file === undefined) return undefined;
    const sound = soundPart(file, next);
    if (sound.finding !== undefined) {
      return cutAt(folder, wal.path, { keep: sound.bytes, of: file.byteLength, finding: sound.finding }, newer);
    }
    next = sound.next;
  }
  return undefined;
}

/**
 * Syncs all of the write-ahead log. LevelDB syncs only the file that it writes to, although the one before may still be
 * needed, and not the name of a new one.
 */
export async function syncWals(folder: string): Promise<void> {
  for (const { path } of await liveWals(folder, 0)) {
    try {
      const fd = await systemFiles.open(path, "read");
      try {
        await systemFiles.syncFile(fd);
      } finally {
        systemFiles.close(fd);
      }
    } catch (error) {
      // LevelDB removes it once a synced table holds the same.
      if (systemCode(error) !== "ENOENT") throw error;
    }
  }
  await syncDirectory(systemFiles, folder);
}

interface Wal {
  readonly number: number;
  readonly path: string;
}

/** From the oldest to the newest. */
async function liveWals(folder: string, oldest: number): Promise<Wal[]> {
  const numbers = (await namesIn(systemFiles, folder)).flatMap((name) => /^(\d+)\.log$/.exec(name)?.[1] ?? []);
  const wals = numbers.map((digits) => ({ number: Number(digits), path: join(folder, `${digits}.log`) }));
  return wals.filter(({ number }) => number >= oldest).sort((one, other) => one.number - other.number);
}

function nameOf(number: number): string {
  return `${String(number).padStart(6, "0")}.log`;
}

const batchHeaderBytes = 12;

/** How much of the file, from its start, is a sequence of batches, and what ends it too early; `due`: the first number. */
function soundPart(
  file: Buffer,
  due: bigint | undefined,
): { readonly bytes: number; readonly next: bigint | undefined; readonly finding: string | undefined } {
  const { records, end } = readLevelLog(file);
  let next = due;
  let bytes = 0;
  for (const record of records) {
    const { payload } = record;
    if (payload.byteLength < batchHeaderBytes) return { bytes, next, finding: "no batch" };
    const sequence = payload.readBigUInt64LE(0);
    if (next !== undefined && sequence !== next) return { bytes, next, finding: `change ${sequence}, ${next} is due` };
    next = sequence + BigInt(payload.readUInt32LE(8));
    bytes = record.end;
  }
  return { bytes, next, finding: end === "whole" ? undefined : end };
}

// The newer files first: were the older one sound before they are gone, they would count as what follows it.
async function cutAt(
  folder: string,
  path: string,
  cut: { readonly keep: number; readonly of: number; readonly finding: string },
  newer: readonly Wal[],
): Promise<LevelCut> {
  for (const wal of newer) await rm(wal.path);
  await syncDirectory(systemFiles, folder);
  if (cut.keep < cut.of) {
    const handle = await open(path, "r+");
    try {
      await handle.truncate(cut.keep);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  const removed = newer.map((wal) => wal.path);
  return { path, keptBytes: cut.keep, lostBytes: cut.of - cut.keep, finding: cut.finding, removed };
}
