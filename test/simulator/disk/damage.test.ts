import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../raft/support.ts";
import { History } from "./history.ts";
import { honestyOf, type Met } from "./honesty.ts";
import { live, openAll } from "./life.ts";
import { SelfWindingClock } from "./self-winding-clock.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const seeds = 60;

/** A disk that was worked on for a while, and then killed. */
async function workedDisk(seed: number, meanwhile: (disk: SimulatedDisk) => void) {
  const random = seeded(seed);
  const clock = new SelfWindingClock();
  const disk = new SimulatedDisk({ clock, random, walBytes: 4000 + random() * 60_000 });
  const history = new History();
  const opened = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const living = live({ disk: disk.boot(), random, history, onOpen: () => opened.resolve() });
  await Promise.race([opened.promise, living]);
  clock.after(50 + random() * 150, () => {
    meanwhile(disk);
    clock.after(random() * 5, () => ended.resolve());
  });
  await Promise.race([ended.promise, living.then(() => ended.promise)]);
  disk.crash("kill");
  return { disk, history, random };
}

const kinds = [/\/hard-state$/, /\/log-\d+$/, /\/catalog-\d+$/, /\/blobs\//];

/** Flips one bit of something that the seed chooses, as often of each kind; what it was. */
function flipSomething(disk: SimulatedDisk, random: () => number): string {
  for (;;) {
    const kind = kinds[Math.floor(random() * kinds.length)];
    const contents = disk.contents().filter(({ path }) => kind?.test(path));
    const chosen = contents[Math.floor(random() * contents.length)];
    if (chosen === undefined) continue;
    const at = Math.floor(random() * chosen.places);
    if (disk.flip(chosen.path, at, Math.floor(random() * 1000))) return chosen.path;
  }
}

test("simulated disk: a bit flipped at rest is never handed out, and what it cost is never missing in silence", async (t) => {
  const met = new Map<Met | "nothing", number>();
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { disk, history, random } = await workedDisk(seed, () => undefined);
    const flipped = flipSomething(disk, random);
    try {
      const { stores, blobs } = await openAll(disk.boot());
      const found = await honestyOf(history, stores, blobs);
      for (const each of found.size === 0 ? (["nothing"] as const) : found) met.set(each, (met.get(each) ?? 0) + 1);
    } catch (error) {
      throw new Error(`seed ${seed}, ${flipped}`, { cause: error });
    }
    disk.crash("kill");
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(met)));
  assert.ok(met.size >= 4, JSON.stringify([...met]));
});

test("simulated disk: rows and blobs that go bad while they are in use are not handed out", async (t) => {
  const met = new Map<Met | "nothing", number>();
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { disk, history, random } = await workedDisk(seed, () => undefined);
    const { stores, blobs } = await openAll(disk.boot());
    const flipped = Array.from({ length: 3 }, () => flipSomething(disk, random));
    const found = await honestyOf(history, stores, blobs).catch((error: unknown) => {
      throw new Error(`seed ${seed}, ${flipped.join()}`, { cause: error });
    });
    for (const each of found.size === 0 ? (["nothing"] as const) : found) met.set(each, (met.get(each) ?? 0) + 1);
    disk.crash("kill");
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(met)));
  assert.ok(met.size >= 4, JSON.stringify([...met]));
});

test("simulated disk: a slot of the hard state that was written to the wrong page costs no vote and no promise", async (t) => {
  let misdirected = 0;
  let doubts = 0;
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { disk, history } = await workedDisk(seed, (running) => running.misdirectNextWrite("/hard-state"));
    misdirected += disk.events.of("write-misdirected");
    const { stores, blobs } = await openAll(disk.boot());
    for (const each of await honestyOf(history, stores, blobs)) assert.equal(each, "hard-state", `seed ${seed}`);
    if (stores.log.recovered.lostPromises) doubts += 1;
    disk.crash("kill");
  }
  t.diagnostic(`${doubts} of ${misdirected} were met on the next start`);
  assert.ok(doubts > 10 && misdirected > seeds / 2, `${doubts} of ${misdirected}`);
});
