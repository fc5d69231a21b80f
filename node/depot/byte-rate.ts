import type { Clock } from "../base/clock.ts";

/**
 * Keeps a lane of work below so many bytes a second. Whoever takes may begin as soon as no debt is left, however much he
 * takes: the debt he makes holds up the next. So a replica larger than a second's worth is not starved, and the rate
 * still holds over any longer time.
 */
export class ByteRate {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  /** Up to when, on the monotonic clock, everything taken so far is paid for. */
  #paidUntilMs = 0;
  readonly #waiting = new Set<() => void>();
  #isClosed = false;

  constructor(clock: Clock, maxMiBPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerMs = (maxMiBPerSecond * 1024 * 1024) / 1000;
  }

  /** Resolves when `bytes` may be moved; false when the lane was closed instead. */
  async take(bytes: number): Promise<boolean> {
    const nowMs = this.#clock.monotonicMs();
    const startMs = Math.max(nowMs, this.#paidUntilMs);
    this.#paidUntilMs = startMs + bytes / this.#bytesPerMs;
    if (startMs > nowMs && !this.#isClosed) await this.#wait(startMs - nowMs);
    return !this.#isClosed;
  }

  close(): void {
    this.#isClosed = true;
    for (const end of this.#waiting) end();
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        this.#waiting.delete(end);
        resolve();
      };
      const cancel = this.#clock.after(delayMs, end);
      this.#waiting.add(end);
    });
  }
}
