/**
 * Linearizable reads without writing to the log (dissertation §6.4).
 *
 *   door                      leader                              voters
 *    │ read-index-request ──►  waiting                               │
 *    │                         round n+1 begins: readIndex = commit  │
 *    │                         heartbeat-request {n+1} ────────────► │
 *    │                         heartbeat-response {n+1} ◄─────────── │  a quorum: still the leader
 *    │ ◄── read-index-response {readIndex}                           │
 *
 * Rounds grow within a term, so an answer to an older round confirms nothing that came after it; a read that arrives
 * while a round is under way waits for the next one.
 */
import type { LogIndex, NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";

/** One read: `position` is never used twice by `from`. */
export interface Read {
  readonly from: NodeId;
  readonly position: number;
}

/** More reads than this are refused, from all doors together. */
const maxReads = 65_536;

/** The leader's side: reads that wait for the next round, and those that wait for the one under way. */
export class ReadRounds {
  #round = 0;
  #readIndex: LogIndex | undefined;
  #underWay = new Map<string, Read>();
  #waiting = new Map<string, Read>();

  /** The newest round begun; it goes out with every heartbeat. */
  get round(): number {
    return this.#round;
  }

  get isUnderWay(): boolean {
    return this.#underWay.size > 0;
  }

  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Registers a read once, however often it is asked; false when there are too many. */
  add(read: Read): boolean {
    const key = `${read.position} ${read.from}`;
    if (this.#underWay.has(key)) return true;
    if (this.#underWay.size + this.#waiting.size >= maxReads) return false;
    this.#waiting.set(key, read);
    return true;
  }

  /** Begins the next round for all that wait; `readIndex` is the commit index now. */
  begin(readIndex: LogIndex): void {
    invariant(!this.isUnderWay, () => `round ${this.#round} is under way`);
    this.#round += 1;
    this.#readIndex = readIndex;
    this.#underWay = this.#waiting;
    this.#waiting = new Map();
  }

  /** A quorum has answered `round`: the reads it confirms. */
  confirmed(round: number): { readonly readIndex: LogIndex; readonly reads: readonly Read[] } | undefined {
    if (!this.isUnderWay || this.#readIndex === undefined || round < this.#round) return undefined;
    const reads = [...this.#underWay.values()];
    this.#underWay = new Map();
    return { readIndex: this.#readIndex, reads };
  }

  /** Gives up all reads. */
  drain(): readonly Read[] {
    const reads = [...this.#underWay.values(), ...this.#waiting.values()];
    this.#underWay = new Map();
    this.#waiting = new Map();
    return reads;
  }
}

/** The door's side: reads that were sent to the leader and not answered yet. */
export class ForwardedReads {
  readonly #reads = new Map<number, { readonly askedMs: number; sentMs: number }>();
  #lastPosition = Number.NEGATIVE_INFINITY;

  /** Checks that positions grow: a position used again could be answered by the read before. */
  register(position: number): void {
    invariant(position > this.#lastPosition, () => `read ${position} after ${this.#lastPosition}`);
    this.#lastPosition = position;
  }

  add(position: number, nowMs: number): void {
    this.#reads.set(position, { askedMs: nowMs, sentMs: nowMs });
  }

  /** Removes the read; false when it is not waited for (any more). */
  take(position: number): boolean {
    return this.#reads.delete(position);
  }

  /** Removes and returns what was asked at least `afterMs` ago. */
  takeExpired(nowMs: number, afterMs: number): readonly number[] {
    const expired = [...this.#reads].flatMap(([position, { askedMs }]) =>
      nowMs - askedMs >= afterMs ? [position] : [],
    );
    for (const position of expired) this.#reads.delete(position);
    return expired;
  }

  /** What was last sent at least `afterMs` ago, and counts as sent now. */
  resend(nowMs: number, afterMs: number): readonly number[] {
    const due: number[] = [];
    for (const [position, read] of this.#reads) {
      if (nowMs - read.sentMs < afterMs) continue;
      read.sentMs = nowMs;
      due.push(position);
    }
    return due;
  }

  drain(): readonly number[] {
    const positions = [...this.#reads.keys()];
    this.#reads.clear();
    return positions;
  }

  /** When `resend` or `takeExpired` has something to do; Infinity when nothing waits. */
  dueMs(resendMs: number, expireMs: number): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { askedMs, sentMs } of this.#reads.values()) due = Math.min(due, sentMs + resendMs, askedMs + expireMs);
    return due;
  }
}
