import type { Clock } from "../../node/base/clock.ts";
import type { NodeId } from "../../node/base/ids.ts";
import type { Timeline } from "./timeline.ts";

/**
 * One process of one node, from its start to its end. Whatever reaches it from outside comes through `run`: a paused process
 * finds all of it when it goes on, a dead one nothing, ever.
 */
export class Life {
  readonly node: NodeId;
  readonly number: number;
  readonly stop = new AbortController();
  readonly #timeline: Timeline;
  readonly #onThrow: (error: unknown) => void;
  readonly #skewMs: number;
  readonly #endings = new Set<() => void>();
  #held: (() => void)[] = [];
  #isPaused = false;
  #isDead = false;

  constructor(options: {
    readonly node: NodeId;
    /** Counts the lives of the node, from 1. */
    readonly number: number;
    readonly timeline: Timeline;
    /** How wrong its wall clock goes. */
    readonly skewMs: number;
    /** An exception that nobody caught. */
    readonly onThrow: (error: unknown) => void;
  }) {
    this.node = options.node;
    this.number = options.number;
    this.#timeline = options.timeline;
    this.#skewMs = options.skewMs;
    this.#onThrow = options.onThrow;
  }

  get isDead(): boolean {
    return this.#isDead;
  }
  get isPaused(): boolean {
    return this.#isPaused;
  }

  run(task: () => void): void {
    if (this.#isDead) return;
    if (this.#isPaused) {
      this.#held.push(task);
      return;
    }
    try {
      task();
    } catch (error) {
      this.#onThrow(error);
    }
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    // Each in a turn of its own, as the event loop would have them.
    for (const task of this.#held.splice(0)) this.#timeline.after(0, () => this.run(task));
  }

  end(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#held = [];
    for (const ending of this.#endings) ending();
    this.#endings.clear();
  }

  /** Calls `task` when this life ends, at once if it has: whoever is connected to it notices. The result forgets it. */
  onEnd(task: () => void): () => void {
    if (this.#isDead) task();
    else this.#endings.add(task);
    return () => this.#endings.delete(task);
  }

  /** This process's clock; its monotonic time starts anew with each process. */
  get clock(): Clock {
    const timeline = this.#timeline;
    const bootMs = timeline.nowMs - 1000 * this.number;
    return {
      monotonicMs: () => timeline.nowMs - bootMs,
      wallMs: () => Math.floor(1_700_000_000_000 + timeline.nowMs + this.#skewMs),
      after: (delayMs, task) => {
        let isDue = true;
        const fire = () => {
          // Called off while the process was paused, it must not run afterwards.
          if (isDue) task();
        };
        // Whole milliseconds, at least one, as setTimeout has them.
        const cancel = timeline.after(Math.max(1, Math.trunc(delayMs)), () => this.run(fire));
        return () => {
          isDue = false;
          cancel();
        };
      },
      soon: (task) => void timeline.after(0, () => this.run(task)),
    };
  }
}
