import { type LogIndex, logIndex, type Term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { LogPosition } from "./types.ts";

/**
 * The term of every entry of a log, as runs of equal terms: a whole log costs as much memory as it saw elections.
 *
 *   base {4, t1} │ 5:t2 6:t2 7:t2 │ 8:t5 9:t5      runs: {5, t2}, {8, t5}      last: {9, t5}
 */
export class TermRuns {
  #base: LogPosition;
  #runs: LogPosition[];
  #lastIndex: LogIndex;

  constructor(base: LogPosition, runs: readonly LogPosition[], lastIndex: LogIndex) {
    this.#base = base;
    this.#runs = [...runs];
    this.#lastIndex = lastIndex;
    this.#check();
  }

  get base(): LogPosition {
    return this.#base;
  }

  get last(): LogPosition {
    return { index: this.#lastIndex, term: this.#runs.at(-1)?.term ?? this.#base.term };
  }

  /** Undefined before the base and after the last entry. */
  termAt(index: LogIndex): Term | undefined {
    if (index > this.#lastIndex || index < this.#base.index) return undefined;
    return this.#runs[this.#runAt(index)]?.term ?? this.#base.term;
  }

  append(index: LogIndex, term: Term): void {
    const { last } = this;
    invariant(index === last.index + 1, () => `entry ${index} appended after ${last.index}`);
    invariant(term >= last.term, () => `entry ${index} of term ${term} after term ${last.term}`);
    if (this.#runs.length === 0 || term > last.term) this.#runs.push({ index, term });
    this.#lastIndex = index;
  }

  truncateFrom(index: LogIndex): void {
    invariant(index > this.#base.index, () => `truncation at ${index}, base ${this.#base.index}`);
    this.#runs = this.#runs.filter((run) => run.index < index);
    this.#lastIndex = logIndex(Math.min(this.#lastIndex, index - 1));
  }

  /** Forgets everything up to `through`, which becomes the base. */
  dropThrough(through: LogIndex): void {
    const term = this.termAt(through);
    invariant(term !== undefined, () => `no entry ${through} to trim to`);
    const next = logIndex(through + 1);
    const at = this.#runAt(next);
    const following = through < this.#lastIndex ? this.#runs[at] : undefined;
    this.#runs = following === undefined ? [] : [{ index: next, term: following.term }, ...this.#runs.slice(at + 1)];
    this.#base = { index: through, term };
  }

  /** The last position at or before `index` whose term is not beyond `term`; undefined when nothing held here is. */
  lastNotBeyond(index: LogIndex, term: Term): LogPosition | undefined {
    let at: LogIndex = logIndex(Math.min(index, this.#lastIndex));
    if (at < this.#base.index) return undefined;
    for (let run = this.#runAt(at); run >= 0; run -= 1) {
      const { index: first, term: ofRun } = this.#runs[run] ?? this.#base;
      if (ofRun <= term) return { index: at, term: ofRun };
      at = logIndex(first - 1);
    }
    return this.#base.term <= term ? this.#base : undefined;
  }

  /** The run that holds `index`; -1: none, it is the base. */
  #runAt(index: LogIndex): number {
    let [low, high] = [0, this.#runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle] ?? this.#base).index <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #check(): void {
    let before = this.#base;
    for (const run of this.#runs) {
      const [from, to] = [before, run];
      invariant(to.index > from.index && to.term >= from.term, () => `run ${to.index}:${to.term} after ${from.index}`);
      before = run;
    }
    const first = this.#runs[0]?.index ?? this.#lastIndex + 1;
    invariant(first === this.#base.index + 1, () => `log from ${first}, base ${this.#base.index}`);
    invariant(before.index <= this.#lastIndex, () => `log ends at ${this.#lastIndex}, run at ${before.index}`);
  }
}
