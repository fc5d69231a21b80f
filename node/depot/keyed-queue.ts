import type { Clock } from "../base/clock.ts";

export interface KeyedQueueOptions<K> {
  readonly clock: Clock;
  /** How many keys are worked on at once. */
  readonly width: number;
  /** How many keys may wait; more are refused. */
  readonly maxWaiting: number;
  /** Works on a key; answers after how many milliseconds to do so again, or undefined for done. */
  readonly work: (key: K) => Promise<number | undefined>;
  /** `work` rejected, which it never may. */
  readonly onFatal: (error: unknown) => void;
}

/**
 * Work by key: each key at most once at a time, many keys at once, first come, first served. A key added while it is
 * worked on is worked on again afterwards, so no change of it goes unseen.
 */
export class KeyedQueue<K> {
  readonly #options: KeyedQueueOptions<K>;
  readonly #ready = new Set<K>();
  /** Keys to come back to, with what cancels their timer. */
  readonly #later = new Map<K, () => void>();
  /** Keys under way, and whether they were added meanwhile. */
  readonly #running = new Map<K, { again: boolean }>();
  readonly #ended: (() => void)[] = [];
  #isClosed = false;

  constructor(options: KeyedQueueOptions<K>) {
    this.#options = options;
  }

  /** Works on `key` as soon as its turn comes; false when too many wait already, or the queue is closed. */
  add(key: K): boolean {
    if (this.#isClosed) return false;
    const running = this.#running.get(key);
    if (running !== undefined) {
      running.again = true;
      return true;
    }
    const isKnown = this.#ready.has(key) || this.#later.has(key);
    if (!isKnown && this.waiting >= this.#options.maxWaiting) return false;
    this.#later.get(key)?.();
    this.#later.delete(key);
    this.#ready.add(key);
    this.#startReady();
    return true;
  }

  /** Keys that wait for their turn or their time. */
  get waiting(): number {
    return this.#ready.size + this.#later.size;
  }

  isRunning(key: K): boolean {
    return this.#running.has(key);
  }

  /** Starts nothing any more; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const cancel of this.#later.values()) cancel();
    this.#later.clear();
    this.#ready.clear();
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#ended.push(resolve));
  }

  #startReady(): void {
    for (const key of this.#ready) {
      if (this.#running.size >= this.#options.width) return;
      this.#ready.delete(key);
      this.#running.set(key, { again: false });
      this.#options.work(key).then(
        (againMs) => this.#finish(key, againMs),
        (error: unknown) => {
          this.#finish(key, undefined);
          this.#options.onFatal(error);
        },
      );
    }
  }

  #finish(key: K, againMs: number | undefined): void {
    const again = this.#running.get(key)?.again === true;
    this.#running.delete(key);
    if (this.#isClosed) {
      if (this.#running.size === 0) for (const resolve of this.#ended.splice(0)) resolve();
      return;
    }
    if (again) this.#ready.add(key);
    else if (againMs !== undefined) {
      const wake = () => {
        this.#later.delete(key);
        this.#ready.add(key);
        this.#startReady();
      };
      this.#later.set(key, this.#options.clock.after(againMs, wake));
    }
    this.#startReady();
  }
}
