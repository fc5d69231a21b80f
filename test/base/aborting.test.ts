import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pause, unlessAborted } from "../../node/base/aborting.ts";
import { ManualClock } from "../support/manual-clock.ts";

describe("waiting that can be called off", () => {
  test("a pause ends when its time is over, at the abort, or at once when that was before", async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const [short, long] = [pause(clock, 10, stop.signal), pause(clock, 1000, stop.signal)];
    clock.advance(10);
    await short;
    stop.abort();
    await long;
    await pause(clock, 1000, stop.signal);
  });

  test("a promise is waited for until the abort, whose reason is thrown; its late failure is nobody's", async () => {
    const stop = new AbortController();
    assert.equal(await unlessAborted(stop.signal, Promise.resolve(1)), 1);
    await assert.rejects(unlessAborted(stop.signal, Promise.reject(new Error("its own"))), /its own/);
    const late = Promise.withResolvers<void>();
    const waiting = unlessAborted(stop.signal, late.promise);
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    await assert.rejects(unlessAborted(stop.signal, late.promise), /enough/);
    late.reject(new Error("late"));
    await new Promise((resolve) => setImmediate(resolve)); // an unhandled rejection would end the test here
  });
});
