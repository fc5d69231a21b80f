import { type LogIndex, logIndex } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";

export type ProgressState = "probe" | "replicate" | "snapshot";

/**
 * What the leader knows of one follower's log, and what it may send next.
 *
 *              matched                    matched up to the leader's base
 *   probe ───────────────► replicate   snapshot ───────────► replicate
 *     ▲  one append at        │           ▲
 *     │  a time               │ rejected, │ what it needs is trimmed
 *     └───────────────────────┘ refused   └── from either state
 */
export class Progress {
  #state: ProgressState = "probe";
  #matchIndex: LogIndex = logIndex(0);
  #nextIndex: LogIndex;
  /** The last index of each append under way, ascending. */
  #inflight: LogIndex[] = [];
  /** Probing: the one append is under way. */
  #probing = false;
  #lastAppendMs = Number.NEGATIVE_INFINITY;
  #load: { readonly from: LogIndex; readonly askedMs: number } | undefined;
  readonly #maxInflight: number;
  /** When the follower was last heard. */
  heardMs = Number.NEGATIVE_INFINITY;
  /** When the last heartbeat left for it. */
  heartbeatMs = Number.NEGATIVE_INFINITY;
  /** The newest read round the follower has answered. */
  confirmedRound = 0;
  /** The highest commit index the follower can have learned from what was sent. */
  toldCommit: LogIndex = logIndex(0);
  /** Something sent may be lost: send an append that finds out, even an empty one. */
  nudge = false;

  constructor(options: { readonly nextIndex: number; readonly maxInflight: number }) {
    this.#nextIndex = logIndex(options.nextIndex);
    this.#maxInflight = options.maxInflight;
  }

  get state(): ProgressState {
    return this.#state;
  }
  get matchIndex(): LogIndex {
    return this.#matchIndex;
  }
  get nextIndex(): LogIndex {
    return this.#nextIndex;
  }
  get lastAppendMs(): number {
    return this.#lastAppendMs;
  }
  get load(): { readonly from: LogIndex; readonly askedMs: number } | undefined {
    return this.#load;
  }

  /** Whether no more entries may be under way; an empty append still may. */
  get isWindowFull(): boolean {
    return this.#inflight.length >= this.#maxInflight;
  }

  /** Whether an append may leave now; `lastIndex` is the leader's. */
  maySend(lastIndex: LogIndex): boolean {
    if (this.#load !== undefined) return false;
    switch (this.#state) {
      case "probe":
        return !this.#probing;
      case "replicate":
        return this.nudge || (this.#nextIndex <= lastIndex && this.#inflight.length < this.#maxInflight);
      case "snapshot":
        return false;
    }
  }

  /** An append of `count` entries from `nextIndex` on has left. */
  sent(count: number, nowMs: number): void {
    this.#lastAppendMs = nowMs;
    this.nudge = false;
    if (this.#state === "probe") this.#probing = true;
    if (this.#state !== "replicate" || count === 0) return;
    const last = logIndex(this.#nextIndex + count - 1);
    this.#inflight.push(last);
    this.#nextIndex = logIndex(last + 1);
  }

  /** The follower holds everything up to `index`; `base` is where the leader's log begins. True when that is news. */
  matched(index: LogIndex, base: LogIndex): boolean {
    const news = index > this.#matchIndex;
    if (news) this.#matchIndex = index;
    this.#nextIndex = logIndex(Math.max(this.#nextIndex, this.#matchIndex + 1));
    const acknowledged = this.#inflight.findLastIndex((last) => last <= index);
    this.#inflight.splice(0, acknowledged + 1);
    const knowsWhere = this.#state === "probe" || (this.#state === "snapshot" && this.#matchIndex >= base);
    if (knowsWhere) this.#enter("replicate", logIndex(this.#matchIndex + 1));
    return news;
  }

  /**
   * The follower has no match at `previousIndex`; `guess` is where it may have one, `held` where its log ends or was
   * known to agree. Stale answers are ignored (false).
   */
  rejected(previousIndex: LogIndex, guess: LogIndex, held: LogIndex): boolean {
    if (this.#state === "snapshot") return false;
    if (held < this.#matchIndex) {
      // It lost entries it had acknowledged, or this is a late message: believing less costs one round, never safety.
      this.#matchIndex = logIndex(0);
      this.#enter("probe", logIndex(guess + 1));
      return true;
    }
    if (this.#state === "replicate") {
      if (previousIndex <= this.#matchIndex) return false;
      this.#enter("probe", logIndex(this.#matchIndex + 1));
      return true;
    }
    if (previousIndex !== this.#nextIndex - 1) return false;
    this.#enter("probe", logIndex(Math.max(Math.min(previousIndex, guess + 1), this.#matchIndex + 1)));
    return true;
  }

  /** The connection broke: whatever is under way may be lost. */
  unreachable(): void {
    if (this.#state === "replicate") this.#enter("probe", logIndex(this.#matchIndex + 1));
  }

  /** The follower answers, so what was sent at least `afterMs` ago and is unanswered is taken for lost. */
  suspectLoss(nowMs: number, afterMs: number, lastIndex: LogIndex): void {
    if (nowMs - this.#lastAppendMs < afterMs) return;
    if (this.#state === "probe") this.#probing = false;
    if (this.#state === "replicate" && this.#matchIndex < lastIndex) this.nudge = true;
  }

  /** The follower was told to pull a snapshot. */
  awaitSnapshot(nowMs: number): void {
    if (this.#state !== "snapshot") this.#enter("snapshot", this.#nextIndex);
    this.#lastAppendMs = nowMs;
  }

  loading(from: LogIndex, nowMs: number): void {
    invariant(this.#load === undefined, () => `second load from ${from}, first from ${this.#load?.from}`);
    this.#load = { from, askedMs: nowMs };
  }

  loaded(): void {
    this.#load = undefined;
  }

  #enter(state: ProgressState, nextIndex: LogIndex): void {
    invariant(nextIndex > this.#matchIndex, () => `next ${nextIndex}, match ${this.#matchIndex}`);
    this.#state = state;
    this.#nextIndex = logIndex(Math.max(nextIndex, 1));
    this.#inflight = [];
    this.#probing = false;
    this.nudge = false;
  }
}
