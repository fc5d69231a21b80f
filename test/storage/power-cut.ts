import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, open, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { text } from "node:stream/consumers";
import { after } from "node:test";
import { filesOf } from "./damage.ts";
import { contentOf, type InUse, layout, lineOf } from "./support.ts";
import { entryOf, groupFrom, rowsAfter, rowsOf, writesOf } from "./turns.ts";

/** What a killed process left, and which part of it a power cut may not take. */
export interface Taken {
  /** Turns in the catalog, and of them those up to its last synced write. */
  readonly taken: number;
  readonly turn: number;
  /** How much of each file of the catalog's write-ahead log was synced with that. */
  readonly walBytes: Readonly<Record<string, number>>;
  /** Turns in the log, all synced. */
  readonly logged: number;
}

/** Lets another process take turns in the blank data directory until it is killed. */
export async function takeTurns(
  path: string,
  when: "one-file" | "two-files" | "two-synced",
  groups: number,
): Promise<Taken> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "turns-child.ts"), path, when, String(groups)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  after(() => child.kill("SIGKILL"));
  const [said] = await Promise.all([text(child.stdout), once(child, "exit")]);
  assert.equal(child.signalCode, "SIGKILL");
  await removePipes(layout(path).catalog(1));
  return JSON.parse(said);
}

/** What the process held LevelDB's tables back with. */
async function removePipes(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if ((await lstat(join(folder, name))).isFIFO()) await rm(join(folder, name));
  }
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a disk or page cache loses at once. */
export const pageBytes = 4096;

/**
 * Cuts the power: of the catalog's write-ahead log, any page that was not synced may not have reached the disk, in any
 * order; a file may be shorter, and a new one not there at all. Returns how many bytes were lost.
 */
export async function cutPower(path: string, taken: Taken, random: () => number): Promise<number> {
  const share = [0.02, 0.2, 0.6][Math.floor(random() * 3)] ?? 1;
  let lost = 0;
  for (const { path: file, sizeBytes } of await filesOf(layout(path).catalog(1), ".log")) {
    const synced = taken.walBytes[basename(file)] ?? 0;
    if (synced === 0 && random() < 0.15) {
      await rm(file);
      lost += sizeBytes;
      continue;
    }
    const handle = await open(file, "r+");
    for (let page = Math.floor(synced / pageBytes) * pageBytes; page < sizeBytes; page += pageBytes) {
      if (random() >= share) continue;
      const from = Math.max(page, synced);
      const length = Math.min(page + pageBytes, sizeBytes) - from;
      await handle.write(Buffer.alloc(length), 0, length, from);
      lost += length;
    }
    if (random() < 0.3) {
      const end = synced + Math.floor(random() * (sizeBytes - synced));
      lost += sizeBytes - end;
      await handle.truncate(end);
    }
    await handle.close();
  }
  return lost;
}

/** The turn at which the catalog stands, after checking that it is the state after exactly that group of turns. */
export async function turnOf({ catalog }: InUse): Promise<number> {
  assert.ok(catalog !== undefined, "no catalog");
  const rows = await rowsOf(catalog);
  const turn = JSON.parse(rows.get("applied") ?? "").index - 1;
  let ends = 0;
  while (ends < turn) ends = groupFrom(ends + 1);
  assert.equal(ends, turn, "a group of turns was torn");
  assert.deepEqual(rows, rowsAfter(turn));
  return turn;
}

/** Replays the log behind the catalog, after checking that it holds all that is not in the catalog. */
export async function replay({ log, catalog }: InUse, taken: Taken, turn: number): Promise<void> {
  assert.equal(log.recovered.lostPromises, false);
  assert.ok(log.recovered.base.index <= turn + 1, `the log starts at ${log.recovered.base.index}`);
  const missing = Array.from({ length: taken.logged - turn }, (_, offset) => turn + 1 + offset);
  assert.deepEqual(
    await contentOf(log, turn + 2, taken.logged + 1),
    missing.map((one) => lineOf(entryOf(one))),
  );
  for (const one of missing) await catalog?.write(writesOf(one), { sync: false });
  assert.ok(catalog !== undefined);
  assert.deepEqual(await rowsOf(catalog), rowsAfter(taken.logged));
}
