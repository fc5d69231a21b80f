/** The time, as a seam: production code never asks the runtime for it. */
export interface Clock {
  /** Milliseconds on a clock that never goes back; only differences mean anything. */
  monotonicMs(): number;
  /** Milliseconds since 1970, for what people read; it may jump. */
  wallMs(): number;
  /** Calls `task` once after `delayMs`; the result cancels it. The timer does not keep the process alive. */
  after(delayMs: number, task: () => void): () => void;
  /** Calls `task` once, after whatever else this turn of the event loop brings: who gathers work gathers that long. */
  soon(task: () => void): void;
}

/** Uniform in [0, 1): chance, as a seam. */
export type Random = () => number;

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  soon(task) {
    setImmediate(task);
  },
};

/** Calls `task` every `everyMs`, the first time after that long; the result ends it. */
export function repeatedly(clock: Clock, everyMs: number, task: () => void): () => void {
  let cancel = clock.after(everyMs, again);
  function again(): void {
    cancel = clock.after(everyMs, again);
    task();
  }
  return () => cancel();
}
