import type { Clock } from "../../../node/base/clock.ts";

/** A clock that jumps to the next timer whenever nothing else runs: virtual time, for tests that only await. */
export class SelfWindingClock implements Clock {
  #nowMs = 0;
  #timers: { readonly dueMs: number; readonly task: () => void }[] = [];
  #isWinding = false;

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, task };
    const place = this.#timers.findLastIndex(({ dueMs }) => dueMs <= timer.dueMs) + 1;
    this.#timers.splice(place, 0, timer);
    this.#wind();
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  soon(task: () => void): void {
    this.after(0, task);
  }

  #wind(): void {
    if (this.#isWinding || this.#timers.length === 0) return;
    this.#isWinding = true;
    // Behind all microtasks: whoever was woken by the timer before has done what it does.
    setImmediate(() => {
      this.#isWinding = false;
      const timer = this.#timers.shift();
      if (timer !== undefined) {
        this.#nowMs = timer.dueMs;
        timer.task();
      }
      this.#wind();
    });
  }
}
