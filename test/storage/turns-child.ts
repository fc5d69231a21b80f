import assert from "node:assert/strict";
import { readdirSync, statSync, writeSync } from "node:fs";
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

for (let group = 1; group < Number(groups) || !(await enough()); group += 1) {
  await take(group % groupsPerSync === 0);
}
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

async function enough(): Promise<boolean> {
  if (when === "one-file") return true;
  if (Object.keys(walBytes()).length < 2) return false;
  // While the table of the older file is being written.
  if (when === "two-synced") await take(true);
  for (let more = 0; more < 4; more += 1) await take(false);
  return Object.keys(walBytes()).length === 2;
}

function walBytes(): Record<string, number> {
  const folder = layout(path).catalog(1);
  const sizes: Record<string, number> = {};
  for (const name of readdirSync(folder)) {
    const size = name.endsWith(".log") && statSync(join(folder, name), { throwIfNoEntry: false })?.size;
    if (typeof size === "number") sizes[name] = size;
  }
  return sizes;
}
