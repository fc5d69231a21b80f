import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../raft/support.ts";
import { History } from "./history.ts";
import { live } from "./life.ts";
import { SelfWindingClock } from "./self-winding-clock.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const seeds = 60;
const livesPerSeed = 6;

/** Lives one after the other on one disk, each ended by a crash at a moment that the seed decides. */
async function livesOf(seed: number): Promise<{ readonly disk: SimulatedDisk; readonly trace: readonly string[] }> {
  const random = seeded(seed);
  const clock = new SelfWindingClock();
  const disk = new SimulatedDisk({ clock, random, walBytes: random() < 0.5 ? 4000 : 1 << 20 });
  const history = new History();
  const trace: string[] = [];
  for (let life = 1; life <= livesPerSeed; life += 1) {
    const ended = Promise.withResolvers<void>();
    const fault = random();
    clock.after(random() * 20, () => {
      if (fault < 0.15) disk.failNextSync();
      else if (fault < 0.25) disk.failNextWrite();
      else if (fault < 0.35) disk.fill(random() * 20_000);
      else if (fault < 0.45) disk.slowDown(1 + random() * 10);
    });
    clock.after(random() ** 2 * 400, () => ended.resolve());
    const living = live({
      disk: disk.boot(),
      random,
      history,
      onOpen: () => trace.push(`${clock.monotonicMs()} open`),
    });
    // A life that meets a failure ends there; its crash comes all the same.
    await Promise.race([ended.promise, living.then(() => ended.promise)]);
    const crash = random() < 0.7 ? "power-cut" : "kill";
    history.hadPowerCut ||= crash === "power-cut";
    disk.crash(crash);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    disk.slowDown(1);
    trace.push(
      `${clock.monotonicMs()} ${crash} ${JSON.stringify([history.lastIndex, history.turns, [...disk.events.all()]])}`,
    );
  }
  const end = Promise.withResolvers<void>();
  await Promise.race([end.promise, live({ disk: disk.boot(), random, history, onOpen: () => end.resolve() })]);
  disk.crash("kill");
  return { disk, trace };
}

test("simulated disk: after every crash, all that was acknowledged is there, and beside it at most what was under way", async (t) => {
  const reached = new Map<string, number>();
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { disk } = await livesOf(seed).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error });
    });
    for (const [event, times] of disk.events.all()) reached.set(event, (reached.get(event) ?? 0) + times);
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(reached)));
});

test("simulated disk: a seed gives the same crashes and the same disk, bit for bit", async () => {
  for (const seed of [3, 44, 505]) {
    const [one, other] = [await livesOf(seed), await livesOf(seed)];
    assert.deepEqual(one.trace, other.trace);
    assert.deepEqual(one.disk.contents(), other.disk.contents());
  }
});
