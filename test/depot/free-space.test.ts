import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import type { Clock } from "../../node/base/clock.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { FreeSpace } from "../../node/depot/free-space.ts";
import { systemDisk } from "../../node/storage/system/system-disk.ts";

/** A clock whose timers are fired by hand. */
function handClock() {
  const timers = new Set<() => void>();
  const scheduled: PromiseWithResolvers<void>[] = [];
  const clock: Clock = {
    monotonicMs: () => 0,
    wallMs: () => 0,
    after(_delayMs, task) {
      timers.add(task);
      scheduled.shift()?.resolve();
      return () => timers.delete(task);
    },
    soon: (task) => setImmediate(task),
  };
  /** Fires what is due; resolves when the next timer is set. */
  const fire = async () => {
    const next = Promise.withResolvers<void>();
    scheduled.push(next);
    const due = [...timers];
    timers.clear();
    for (const task of due) task();
    await next.promise;
  };
  return { clock, timers, fire };
}

test("Free space: is measured before open resolves, again at each tick, and no more once closed", async () => {
  const { clock, timers, fire } = handClock();
  const space = await FreeSpace.open({ path: tmpdir(), disk: systemDisk, clock, logger: silentLogger });
  const { bavail, bsize } = statfsSync(tmpdir());
  assert.ok(Math.abs(space.bytes() - bavail * bsize) < 2 ** 30);
  await fire();
  assert.equal(timers.size, 1);
  space.close();
  assert.equal(timers.size, 0);
});

test("Free space: the first measurement must succeed", async () => {
  const { clock } = handClock();
  await assert.rejects(FreeSpace.open({ path: "/nowhere/at/all", disk: systemDisk, clock, logger: silentLogger }));
});
