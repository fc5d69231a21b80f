import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { layout, position, use } from "./support.ts";
import { entryOf, groupFrom, writesOf } from "./turns.ts";

// Takes turns as a node does: the log synced, the catalog mostly not, and kills itself.
//   argv: data directory · when · groups to write, at least
//   when: "one-file"    the catalog's write-ahead log is one file
//         "two-files"   it is two, the last synced write in the older or before it
//         "two-synced"  it is two, the last synced write in the newer
// Says as a line of JSON what a power cut may not take, after each synced write of the catalog and at the end.

const [path = "", when = "one-file", groups = "0"] = process.argv.slice(2);
const turnsPerPersist = 100;
const groupsPerSync = 60;
const catalogWriteBufferBytes = when === "one-file" ? 64 << 20 : 2 << 20;
const { log, catalog } = await use(path, { tuning: { catalogWriteBufferBytes } });
assert.ok(catalog !== undefined);

let logged = 0;
let turn = 0;
let synced = { turn: 0, walBytes: walBytes() };

for (let group = 1; group < Number(groups); group += 1) await take(group % groupsPerSync === 0);
if (when !== "one-file") await enterSecondFile();
writeSync(1, `${JSON.stringify({ ...synced, taken: turn, logged })}\n`);
process.kill(process.pid, "SIGKILL");

async function take(sync: boolean): Promise<void> {
  assert.ok(turn < 20_000, "it was never so");
  const last = groupFrom(turn + 1);
  while (logged < last) {
    const append = Array.from({ length: turnsPerPersist }, (_, offset) => entryOf(logged + 1 + offset));
    await log.persist({ hardState: undefined, append });
    logged += turnsPerPersist;
  }
  const writes = [];
  while (turn < last) writes.push(...writesOf((turn += 1)));
  await catalog?.write(writes, { sync });
  if (!sync) return;
  synced = { turn, walBytes: walBytes() };
  if (turn > 30) await log.trim(position(turn - 30, 1));
}

/** Goes on until the write-ahead log is two files, which it stays, and there are some writes in the newer one. */
async function enterSecondFile(): Promise<void> {
  while (walNames().length < 2) {
    holdTables();
    await take(false);
  }
  if (when === "two-synced") await take(true);
  for (let more = 0; more < 4; more += 1) await take(false);
  assert.equal(walNames().length, 2);
}

/**
 * Makes LevelDB wait for ever with its next table, and so keep the older file of its log: opening a named pipe for writing
 * waits for a reader. Which number the table will have is not known, only that it is one of the next.
 */
function holdTables(): void {
  const newest = Math.max(...walNames().map((name) => Number.parseInt(name, 10)));
  const pipes = Array.from({ length: 40 }, (_, offset) => tableName(newest + 1 + offset));
  const missing = pipes.map((name) => join(layout(path).catalog(1), name)).filter((pipe) => !existsSync(pipe));
  if (missing.length > 0) execFileSync("mkfifo", missing);
}

function tableName(number: number): string {
  return `${String(number).padStart(6, "0")}.ldb`;
}

function walBytes(): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const name of walNames()) {
    const size = statSync(join(layout(path).catalog(1), name), { throwIfNoEntry: false })?.size;
    if (size !== undefined) sizes[name] = size;
  }
  return sizes;
}

function walNames(): string[] {
  return readdirSync(layout(path).catalog(1)).filter((name) => name.endsWith(".log"));
}
