import type { LogIndex, Term } from "../../../node/base/ids.ts";
import { logIndex } from "../../../node/base/ids.ts";
import type { Entry, LogPosition } from "../../../node/raft/types.ts";

/** What one core holds in its log, synced or not, followed from outside: where it begins, and the term of each entry. */
export class LogView {
  #base: LogPosition;
  #terms: Term[] = [];

  constructor(base: LogPosition, termRuns: readonly LogPosition[], lastIndex: LogIndex) {
    this.#base = base;
    for (const [at, run] of termRuns.entries()) {
      const end = (termRuns[at + 1]?.index ?? lastIndex + 1) - 1;
      for (let index = run.index as number; index <= end; index += 1) this.#terms.push(run.term);
    }
  }

  get base(): LogPosition {
    return this.#base;
  }

  get lastIndex(): LogIndex {
    return logIndex(this.#base.index + this.#terms.length);
  }

  /** Undefined: not held, or no longer. */
  termAt(index: number): Term | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#terms[index - this.#base.index - 1];
  }

  append(entries: readonly Entry[]): void {
    const [first] = entries;
    if (first === undefined) return;
    this.#terms.length = first.index - this.#base.index - 1;
    for (const { term } of entries) this.#terms.push(term);
  }

  reset(base: LogPosition): void {
    this.#base = base;
    this.#terms = [];
  }

  trim(through: LogIndex): void {
    const term = this.termAt(through);
    if (term === undefined || through <= this.#base.index) return;
    this.#terms = this.#terms.slice(through - this.#base.index);
    this.#base = { index: through, term };
  }
}
