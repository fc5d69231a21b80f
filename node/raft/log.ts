import { type LogIndex, logIndex, type Term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { TermRuns } from "./term-runs.ts";
import type { Entry, LogPosition } from "./types.ts";

/** What an entry costs in memory and on the wire besides its bytes; a fair guess. */
const entryOverheadBytes = 32;

/** What an entry counts for in every limit that is given in bytes. */
export function entryBytes(entry: Entry): number {
  return entry.data.byteLength + entryOverheadBytes;
}

/** What a log is opened with. */
export interface LogStart {
  readonly base: LogPosition;
  readonly termRuns: readonly LogPosition[];
  readonly lastIndex: LogIndex;
  readonly applied: LogIndex;
  /** Every entry after `applied`. */
  readonly entries: readonly Entry[];
  readonly maxCachedBytes: number;
}

/**
 * The log as the core sees it: every term, but bytes only of what may still be needed.
 *
 *      base        firstCached        applied        persisted        last
 *   ─────┼──────────────┼────────────────┼───────────────┼─────────────┤
 *   gone │ disk only    │ cached, evicted│ always cached: not applied yet, perhaps not even synced
 *                         beyond the limit
 */
export class RaftLog {
  #runs: TermRuns;
  #cached: Entry[];
  /** Entries before this place in `#cached` are evicted; they are cut off now and then, not each time. */
  #head = 0;
  #applied: LogIndex;
  #appliedBytes = 0;
  #persisted: LogIndex;
  /** Appends handed out and not yet reported as synced, in order. */
  #unsynced: { readonly last: LogPosition; readonly rewritten: boolean }[] = [];
  readonly #maxCachedBytes: number;

  constructor(start: LogStart) {
    const { base, lastIndex, applied, entries } = start;
    invariant(
      base.index <= applied && applied <= lastIndex,
      () => `log ${base.index}–${lastIndex}, applied ${applied}`,
    );
    invariant(entries.length === lastIndex - applied, () => `${entries.length} entries of ${applied + 1}–${lastIndex}`);
    this.#runs = new TermRuns(base, start.termRuns, lastIndex);
    this.#cached = [];
    this.#applied = applied;
    this.#persisted = lastIndex;
    this.#maxCachedBytes = start.maxCachedBytes;
    for (const [at, entry] of entries.entries()) {
      invariant(entry.index === applied + 1 + at, () => `entry ${entry.index} read as ${applied + 1 + at}`);
      invariant(entry.term === this.#runs.termAt(entry.index), () => `entry ${entry.index} has term ${entry.term}`);
      this.#cached.push(entry);
    }
  }

  get base(): LogPosition {
    return this.#runs.base;
  }

  get last(): LogPosition {
    return this.#runs.last;
  }

  /** Everything up to here is known to be synced on this node. */
  get persisted(): LogIndex {
    return this.#persisted;
  }

  termAt(index: LogIndex): Term | undefined {
    return this.#runs.termAt(index);
  }

  matches(position: LogPosition): boolean {
    return this.#runs.termAt(position.index) === position.term;
  }

  /** The position of an entry that is held. */
  positionAt(index: LogIndex): LogPosition {
    const term = this.#runs.termAt(index);
    invariant(term !== undefined, () => `no entry ${index} in ${this.base.index}–${this.last.index}`);
    return { index, term };
  }

  /** See {@link TermRuns.lastNotBeyond}: what the fast back-up of §5.3 looks for, on both sides. */
  lastNotBeyond(position: LogPosition): LogPosition | undefined {
    return this.#runs.lastNotBeyond(position.index, position.term);
  }

  /** Whether a log that ends at `position` is at least as up to date as this one (§5.4.1). */
  isNotAheadOf(position: LogPosition): boolean {
    const { last } = this;
    return position.term > last.term || (position.term === last.term && position.index >= last.index);
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#runs.append(entry.index, entry.term);
      this.#cached.push(entry);
    }
    if (entries.length > 0) this.#unsynced.push({ last: this.last, rewritten: false });
  }

  /** Removes entries from `index` on; the caller knows that none of them is committed. */
  truncateFrom(index: LogIndex): void {
    invariant(index > this.#applied, () => `truncation at ${index}, applied ${this.#applied}`);
    const kept = this.#head + index - this.#firstCached;
    this.#cached.length = Math.min(this.#cached.length, kept);
    this.#runs.truncateFrom(index);
    this.#persisted = logIndex(Math.min(this.#persisted, index - 1));
    // The same position may come again with a later leader; the sync of the first one must not be taken for its.
    this.#unsynced = this.#unsynced.map((each) => (each.last.index < index ? each : { ...each, rewritten: true }));
  }

  /** The driver synced everything up to `last`; ignored when that was rewritten meanwhile. */
  syncedThrough(last: LogPosition): void {
    const at = this.#unsynced.findIndex((each) => each.last.index === last.index && each.last.term === last.term);
    if (at < 0) return;
    const rewritten = this.#unsynced[at]?.rewritten === true;
    this.#unsynced.splice(0, at + 1);
    if (rewritten || !this.matches(last)) return;
    this.#persisted = logIndex(Math.max(this.#persisted, last.index));
  }

  /** Entries from `from` on, at most `maxBytes` but at least one; undefined when they are only on disk. */
  slice(from: LogIndex, maxBytes: number): readonly Entry[] | undefined {
    if (from < this.#firstCached) return undefined;
    const first = this.#head + from - this.#firstCached;
    let [end, bytes] = [first, 0];
    for (; end < this.#cached.length; end += 1) {
      const entry = this.#cached[end];
      if (entry === undefined || (end > first && bytes + entryBytes(entry) > maxBytes)) break;
      bytes += entryBytes(entry);
    }
    return this.#cached.slice(first, end);
  }

  /** Entries `from` to `through`, which must be cached: they are not applied yet. */
  between(from: LogIndex, through: LogIndex): readonly Entry[] {
    invariant(from >= this.#firstCached && through <= this.last.index, () => `${from}–${through} is not cached`);
    const first = this.#head + from - this.#firstCached;
    return this.#cached.slice(first, first + through - from + 1);
  }

  /** Entries up to `index` are applied: their bytes may go. */
  appliedThrough(index: LogIndex): void {
    if (index <= this.#applied) return;
    for (const entry of this.between(logIndex(this.#applied + 1), index)) this.#appliedBytes += entryBytes(entry);
    this.#applied = index;
    while (this.#appliedBytes > this.#maxCachedBytes) this.#evictFirst();
    this.#compact();
  }

  /** Entries up to `through` are gone from disk; they are forgotten here too. */
  trimThrough(through: LogIndex): void {
    if (through <= this.base.index) return;
    invariant(through <= this.#applied, () => `trimmed through ${through}, applied ${this.#applied}`);
    while (this.#firstCached <= through && this.#head < this.#cached.length) this.#evictFirst();
    this.#compact();
    this.#runs.dropThrough(through);
  }

  /** Forgets everything: a snapshot stands for what was up to `position`. */
  reset(position: LogPosition): void {
    this.#runs = new TermRuns(position, [], position.index);
    this.#cached = [];
    this.#head = 0;
    this.#appliedBytes = 0;
    this.#applied = position.index;
    this.#persisted = position.index;
    this.#unsynced = this.#unsynced.map((each) => ({ ...each, rewritten: true }));
  }

  /** Bytes of all entries after `index`, which must be cached. */
  bytesAfter(index: LogIndex): number {
    let bytes = 0;
    for (const entry of this.between(logIndex(index + 1), this.last.index)) bytes += entryBytes(entry);
    return bytes;
  }

  get #firstCached(): LogIndex {
    return logIndex(this.last.index - (this.#cached.length - this.#head) + 1);
  }

  #evictFirst(): void {
    const first = this.#cached[this.#head];
    invariant(first !== undefined && first.index <= this.#applied, () => `eviction of ${first?.index}`);
    this.#appliedBytes -= entryBytes(first);
    this.#head += 1;
  }

  #compact(): void {
    if (this.#head <= 64 || this.#head * 2 < this.#cached.length) return;
    this.#cached = this.#cached.slice(this.#head);
    this.#head = 0;
  }
}
