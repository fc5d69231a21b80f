import type { LogIndex } from "../base/ids.ts";
import type { Entry } from "../raft/types.ts";
import { depthOf, type QueueDepth } from "./queue-depth.ts";

/** Beyond either of these, nothing more is made durable until the catalog has caught up. */
export interface ApplyLimits {
  readonly maxUnappliedEntries: number;
  readonly maxUnappliedBytes: number;
}

/**
 * Committed entries that wait for the catalog. A log is written faster than a catalog, so somebody must wait: with
 * `room` the log does. Then nothing more is acknowledged, and the leader's window for this node is what fills up.
 */
export class ApplyQueue {
  readonly #limits: ApplyLimits;
  #entries: Entry[] = [];
  #sizeBytes = 0;
  #room: PromiseWithResolvers<void> | undefined;

  constructor(limits: ApplyLimits) {
    this.#limits = limits;
  }

  get depth(): QueueDepth {
    return { count: this.#entries.length, sizeBytes: this.#sizeBytes };
  }

  get first(): Entry | undefined {
    return this.#entries[0];
  }

  /** Resolves once there is room again; undefined: there is. */
  get room(): Promise<void> | undefined {
    const { maxUnappliedEntries, maxUnappliedBytes } = this.#limits;
    if (this.#entries.length < maxUnappliedEntries && this.#sizeBytes < maxUnappliedBytes) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  push(entries: readonly Entry[]): void {
    for (const entry of entries) this.#entries.push(entry);
    this.#sizeBytes += depthOf(entries).sizeBytes;
  }

  /** The first entries, so many or as many as there are. */
  take(count: number): readonly Entry[] {
    const taken = this.#entries.splice(0, count);
    this.#sizeBytes -= depthOf(taken).sizeBytes;
    if (this.room === undefined) this.release();
    return taken;
  }

  /** A snapshot stands for entries up to `index`. */
  dropThrough(index: LogIndex): void {
    this.take(this.#entries.filter((entry) => entry.index <= index).length);
  }

  /** Nobody waits any more: there is room, or nothing will be applied ever again. */
  release(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
