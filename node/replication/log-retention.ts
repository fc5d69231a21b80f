import type { Clock } from "../base/clock.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import type { LogPosition, RaftStatus } from "../raft/types.ts";
import type { Gossip } from "./types.ts";

/** Somebody who is pulling a snapshot, and will go on with the log after it. */
export interface LogHolder {
  /** The same for as long as it is the same attempt; the next one has time of its own. */
  readonly attempt: string;
  /** Entries after this one are needed. */
  readonly after: LogIndex;
}

/** Followers that wait for a snapshot, this node's or another's, and then go on with this node's log. */
export function snapshotWaiters({ progress }: RaftStatus, heard: Gossip["of"]): readonly LogHolder[] {
  const waiting = [...progress].filter(([node, { state }]) => state === "snapshot" && heard(node)?.alive === true);
  return waiting.map(([node, { matchIndex }]) => ({ attempt: `${node} ${matchIndex}`, after: logIndex(0) }));
}

export interface RetentionLimits {
  /** Entries kept in the log behind the applied one, for followers that are a little behind. */
  readonly keepEntries: number;
  /** The log is held for nobody beyond this many entries and bytes, nor longer than this for one attempt. */
  readonly maxHeldEntries: number;
  readonly maxHeldBytes: number;
  readonly maxHeldMs: number;
}

export interface LogRetentionOptions extends RetentionLimits {
  readonly clock: Clock;
  readonly holders: () => readonly LogHolder[];
}

/** Up to where the log may be trimmed, and how many bytes lie before it since the start of this process. */
interface Candidate {
  readonly position: LogPosition;
  readonly bytesThrough: number;
}

/** Trimming holds up the log's other writes, so a lot is done in several goes. */
const maxTrimmedEntries = 32_768;
const candidatesPerKept = 64;

/**
 * How much of the log is kept behind the durable catalog.
 *
 *   ── trimmed ──┤ held for whoever pulls a snapshot │ keepEntries │
 *                └── bounded: a follower that is too slow for that starts over ──► durable
 */
export class LogRetention {
  readonly #options: LogRetentionOptions;
  /** Ends of applied batches, oldest first. */
  #candidates: Candidate[] = [];
  #appliedBytes = 0;
  /** When each attempt was first seen to hold the log. */
  #sinceMs = new Map<string, number>();

  constructor(options: LogRetentionOptions) {
    this.#options = options;
  }

  /** Entries of `sizeBytes` up to `position` are applied. */
  applied(position: LogPosition, sizeBytes: number): void {
    this.#appliedBytes += sizeBytes;
    const grainEntries = this.#options.keepEntries / candidatesPerKept;
    const before = this.#candidates.at(-1)?.position.index ?? 0;
    if (position.index - before >= grainEntries) this.#candidates.push({ position, bytesThrough: this.#appliedBytes });
  }

  /** Another catalog took the place of the present one, and its log begins after it. */
  replaced(): void {
    this.#candidates = [];
  }

  /** Everything up to `durable` is durable in the catalog: up to where the log is to be trimmed now, if at all. */
  trimThrough(durable: LogIndex): LogPosition | undefined {
    const { keepEntries } = this.#options;
    const wanted = Math.max(Math.min(durable - keepEntries, this.#heldAfter()), this.#beyondLimits(durable));
    const first = this.#candidates[0]?.position.index ?? 0;
    const through = Math.min(wanted, durable, first + maxTrimmedEntries);
    const kept = this.#candidates.findIndex(({ position }) => position.index > through);
    return this.#candidates.splice(0, kept < 0 ? this.#candidates.length : kept).at(-1)?.position;
  }

  #heldAfter(): LogIndex {
    const { clock, holders, maxHeldMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const present = holders();
    this.#sinceMs = new Map(present.map(({ attempt }) => [attempt, this.#sinceMs.get(attempt) ?? nowMs]));
    const inTime = present.filter(({ attempt }) => nowMs - (this.#sinceMs.get(attempt) ?? nowMs) < maxHeldMs);
    return logIndex(Math.min(Number.MAX_SAFE_INTEGER, ...inTime.map(({ after }) => after)));
  }

  /** The last entry that is not kept for anybody: so much comes after it. */
  #beyondLimits(durable: LogIndex): number {
    const { maxHeldEntries, maxHeldBytes } = this.#options;
    const beyondBytes = this.#candidates.findLast(
      ({ bytesThrough }) => this.#appliedBytes - bytesThrough >= maxHeldBytes,
    );
    return Math.max(durable - maxHeldEntries, beyondBytes?.position.index ?? 0);
  }
}
