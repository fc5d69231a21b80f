import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { LogIndex } from "../base/ids.ts";
import type { Effects } from "../raft/types.ts";

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: DepositoError) => void;
}

/** Readers that asked within one turn of the event loop, and have one deadline. */
interface ReadBatch {
  readonly waiters: readonly Waiter[];
  readonly cancelDeadline: () => void;
  isSettled: boolean;
}

export interface ReadBarrierOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** More readers than this do not wait: they are refused at once. */
  readonly maxWaiting: number;
  /** The first position of this process; grows with every start of the node, so no position is used twice. */
  readonly firstPosition: number;
  /** Gives the core the read. */
  readonly ask: (position: number) => void;
  readonly applied: () => LogIndex;
}

/** A refused read is asked again after this, or as soon as a leader is known. */
const retryMs = 50;

/**
 * Linearizable reads (Raft §6.4): a barrier resolves once this node has applied everything that was committed when a
 * leader, confirmed by a majority after the barrier was asked for, looked.
 *
 *   gathering ──one turn──► asked ──confirmed──► confirmed ──applied──► resolved
 *                             ▲ └──refused──► refused, all of them asked again as one
 *                             └──────────────────┘
 */
export class ReadBarrier {
  readonly #options: ReadBarrierOptions;
  #nextPosition: number;
  #gathering: Waiter[] = [];
  /** Asked and not answered, by position. */
  readonly #asked = new Map<number, readonly ReadBatch[]>();
  #refused: ReadBatch[] = [];
  #retry: (() => void) | undefined;
  /** Confirmed, waiting for the apply. */
  #confirmed: { readonly readIndex: LogIndex; readonly batch: ReadBatch }[] = [];
  readonly #open = new Set<ReadBatch>();
  #waiting = 0;
  #stopped = false;

  constructor(options: ReadBarrierOptions) {
    this.#options = options;
    this.#nextPosition = options.firstPosition;
  }

  /** How many readers wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** @throws {DepositoError} `no-quorum` after the timeout, `too-many-requests` when too many wait already. */
  barrier(): Promise<void> {
    if (this.#stopped) return Promise.reject(stopping());
    if (this.#waiting >= this.#options.maxWaiting)
      return Promise.reject(
        new DepositoError("too-many-requests", `${this.#waiting} readers of this node wait for a majority already`),
      );
    this.#waiting += 1;
    return new Promise((resolve, reject) => {
      this.#gathering.push({ resolve, reject });
      if (this.#gathering.length === 1) this.#options.clock.soon(() => this.#askGathered());
    });
  }

  confirmed(reads: Effects["confirmedReads"]): void {
    for (const { position, readIndex } of reads)
      for (const batch of this.#take(position)) this.#confirmed.push({ readIndex, batch });
    this.appliedMoved();
  }

  refused(positions: readonly number[]): void {
    for (const position of positions) for (const batch of this.#take(position)) this.#refused.push(batch);
    if (this.#refused.length > 0) this.#retry ??= this.#options.clock.after(retryMs, () => this.retry());
  }

  /** Asks the refused reads again, as one; called when a leader has become known. */
  retry(): void {
    this.#retry?.();
    this.#retry = undefined;
    const batches = this.#refused.filter(({ isSettled }) => !isSettled);
    this.#refused = [];
    if (batches.length > 0) this.#ask(batches);
  }

  appliedMoved(): void {
    if (this.#confirmed.length === 0) return;
    const applied = this.#options.applied();
    const waiting = this.#confirmed;
    this.#confirmed = waiting.filter(({ readIndex, batch }) => readIndex > applied && !batch.isSettled);
    for (const { readIndex, batch } of waiting)
      if (readIndex <= applied) this.#settle(batch, (waiter) => waiter.resolve());
  }

  /** Refuses everybody who waits, and whoever comes. */
  stop(): void {
    this.#stopped = true;
    this.#retry?.();
    for (const batch of this.#open) this.#settle(batch, ({ reject }) => reject(stopping()));
    this.#waiting -= this.#gathering.length;
    for (const { reject } of this.#gathering.splice(0)) reject(stopping());
  }

  #askGathered(): void {
    const waiters = this.#gathering;
    this.#gathering = [];
    if (waiters.length === 0) return;
    const { clock, timeoutMs } = this.#options;
    const batch: ReadBatch = {
      waiters,
      isSettled: false,
      cancelDeadline: clock.after(timeoutMs, () => this.#settle(batch, ({ reject }) => reject(unconfirmed(timeoutMs)))),
    };
    this.#open.add(batch);
    this.#ask([batch]);
  }

  #ask(batches: readonly ReadBatch[]): void {
    const position = this.#nextPosition++;
    this.#asked.set(position, batches);
    this.#options.ask(position);
  }

  /** Those who still wait for the answer to `position`. */
  #take(position: number): readonly ReadBatch[] {
    const batches = this.#asked.get(position) ?? [];
    this.#asked.delete(position);
    return batches.filter(({ isSettled }) => !isSettled);
  }

  #settle(batch: ReadBatch, tell: (waiter: Waiter) => void): void {
    if (batch.isSettled) return;
    batch.isSettled = true;
    batch.cancelDeadline();
    this.#open.delete(batch);
    this.#waiting -= batch.waiters.length;
    for (const waiter of batch.waiters) tell(waiter);
  }
}

function unconfirmed(timeoutMs: number): DepositoError {
  return new DepositoError(
    "no-quorum",
    `no majority of voters confirmed the read within ${timeoutMs} ms; try again, or ask another node`,
  );
}

function stopping(): DepositoError {
  return new DepositoError("no-quorum", "this node is stopping; ask another node");
}
