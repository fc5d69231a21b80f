/**
 * Whether a history of overlapping operations could have happened one at a time, each somewhere between its call and its
 * return (Herlihy & Wing 1990).
 *
 *   n1  ├── deposit a ──┤
 *   n2       ├─ retrieve → a ─┤          order found:  deposit a · retrieve → a · delete
 *   n3                     ├─ delete ─┤
 *
 * The search is Wing & Gong's (1993) with Lowe's memory of what was tried (2017): take any operation that no other one
 * wholly precedes, let the model perform it, and go on if the result is the one that was seen; never visit the same set of
 * operations in the same state twice. Names are checked one by one: linearizability is a local property.
 *
 * An operation whose outcome is unknown may take effect at any time after its call, or never. Its result never matters,
 * so "never" is the same as "after everything else", and the search ends as soon as all known operations are placed.
 */
import { type FileOperation, type FileResult, type FileState, perform, sameResult } from "./file-model.ts";

/** One operation as its client saw it; times are of one clock. */
export interface Invocation {
  readonly process: string;
  readonly name: string;
  readonly operation: FileOperation;
  readonly calledAt: number;
  /** Undefined: no answer, or one that leaves the outcome open. */
  readonly outcome: { readonly returnedAt: number; readonly result: FileResult } | undefined;
}

export type Verdict =
  | { readonly type: "linearizable"; readonly steps: number }
  /** `placed`: the longest order that was possible; `stuck`: what could come next, and did not fit. */
  | {
      readonly type: "violation";
      readonly name: string;
      readonly steps: number;
      readonly placed: readonly Invocation[];
      readonly stuck: readonly Invocation[];
    }
  /** The limit was reached first: neither proved nor refuted. */
  | { readonly type: "undecided"; readonly name: string; readonly steps: number };

export interface CheckLimits {
  /** How many operations may be tried, over all names. */
  readonly maxSteps: number;
  readonly maxMs: number;
}

const defaultLimits: CheckLimits = { maxSteps: 5_000_000, maxMs: 30_000 };

/** Checks each name of the history; the first violation decides, else an undecided name, else it is linearizable. */
export function checkHistory(history: readonly Invocation[], limits: CheckLimits = defaultLimits): Verdict {
  const budget: Budget = { steps: 0, maxSteps: limits.maxSteps, endsAt: performance.now() + limits.maxMs };
  let undecided: Verdict | undefined;
  for (const [name, invocations] of Map.groupBy(history, ({ name }) => name)) {
    const verdict = new Search(name, invocations, budget).run();
    if (verdict.type === "violation") return verdict;
    if (verdict.type === "undecided") undecided ??= verdict;
  }
  return undecided ?? { type: "linearizable", steps: budget.steps };
}

interface Budget {
  steps: number;
  readonly maxSteps: number;
  readonly endsAt: number;
}

/** One way to go on: what is placed next, and what stands under the name then. */
interface Candidate {
  readonly at: number;
  readonly state: FileState;
}

/** A place in the search to come back to: the candidates not tried there yet. */
interface Branch {
  readonly candidates: Candidate[];
  /** What was placed to get here from the branch before. */
  readonly placed: number[];
}

const timeCheckEvery = 1024;

/** The search over one name. Operations are known by their place: those with an outcome first, each kind in call order. */
class Search {
  readonly #name: string;
  readonly #operations: readonly Invocation[];
  readonly #knownCount: number;
  readonly #budget: Budget;
  readonly #isPlaced: Uint8Array;
  readonly #tried = new Set<string>();
  readonly #order: number[] = [];
  #knownPlaced = 0;
  /** Every operation with an outcome before it is placed. */
  #firstOpen = 0;
  #longest: { readonly order: readonly number[]; readonly stuck: readonly number[] } = { order: [], stuck: [] };

  constructor(name: string, invocations: readonly Invocation[], budget: Budget) {
    const byCall = invocations.toSorted((one, other) => one.calledAt - other.calledAt);
    const known = byCall.filter(({ outcome }) => outcome !== undefined);
    // An unknown retrieval tells nothing and changes nothing.
    const unknown = byCall.filter(({ outcome, operation }) => outcome === undefined && operation.type !== "retrieve");
    this.#name = name;
    this.#operations = [...known, ...unknown];
    this.#knownCount = known.length;
    this.#isPlaced = new Uint8Array(this.#operations.length);
    this.#budget = budget;
  }

  run(): Verdict {
    const branches: Branch[] = [];
    let state: FileState;
    let placed = this.#placeUndisputed(state);
    for (;;) {
      if (this.#knownPlaced === this.#knownCount) return { type: "linearizable", steps: this.#budget.steps };
      if (this.#isSpent()) return { type: "undecided", name: this.#name, steps: this.#budget.steps };
      branches.push({ candidates: this.#isNew(state) ? this.#candidates(state) : [], placed });

      const next = this.#backtrack(branches);
      if (next === undefined) return this.#violation();
      this.#place(next.at);
      state = next.state;
      placed = [next.at, ...this.#placeUndisputed(state)];
    }
  }

  /** Leaves every branch whose candidates are all tried; the next candidate of the one that has more. */
  #backtrack(branches: Branch[]): Candidate | undefined {
    for (let branch = branches.at(-1); branch !== undefined; branch = branches.at(-1)) {
      const next = branch.candidates.pop();
      if (next !== undefined) return next;
      for (const at of branch.placed.toReversed()) this.#unplace(at);
      branches.pop();
    }
    return undefined;
  }

  /**
   * Places every known operation that may come next, fits, and changes nothing: whatever order is found with it later is
   * also one with it here, so there is nothing to come back for.
   */
  #placeUndisputed(state: FileState): number[] {
    const placed: number[] = [];
    for (;;) {
      const at = this.#nexts().known.find((next) => {
        const after = this.#fit(next, state);
        return after !== undefined && after.state === state;
      });
      if (at === undefined) return placed;
      this.#place(at);
      placed.push(at);
    }
  }

  /** What may come next and fits, to be tried from the end: the one that returned first, unknown ones after all others. */
  #candidates(state: FileState): Candidate[] {
    const { known, unknown } = this.#nexts();
    if (this.#order.length >= this.#longest.order.length) this.#longest = { order: [...this.#order], stuck: known };
    const fitting = (places: readonly number[]) =>
      places.flatMap((at) => {
        const after = this.#fit(at, state);
        return after === undefined ? [] : [{ at, state: after.state }];
      });
    const nexts = [...known, ...unknown];
    return [
      ...fitting(unknown).filter((candidate) => this.#isNeeded(candidate, state, nexts)),
      ...fitting(known).toSorted((one, other) => this.#returnOf(other.at) - this.#returnOf(one.at)),
    ];
  }

  /**
   * Whether something may directly follow the unknown operation that would not come to the same without it. In an order with
   * as few unknown operations as can be, each is followed by such a one, or it could be left out.
   */
  #isNeeded(candidate: Candidate, state: FileState, nexts: readonly number[]): boolean {
    return nexts.some((at) => {
      if (at === candidate.at) return false;
      const after = this.#fit(at, candidate.state);
      if (after === undefined) return false;
      const without = this.#fit(at, state);
      return without === undefined || without.state !== after.state;
    });
  }

  /** What stands after the operation; undefined when its outcome does not fit. */
  #fit(at: number, state: FileState): { readonly state: FileState } | undefined {
    const { operation, outcome } = this.#operation(at);
    const performed = perform(state, operation);
    return outcome === undefined || sameResult(performed.result, outcome.result) ? performed : undefined;
  }

  /** Operations not placed yet that were called before every known one not placed yet had returned. */
  #nexts(): { readonly known: readonly number[]; readonly unknown: readonly number[] } {
    const known: number[] = [];
    let earliestReturn = Number.POSITIVE_INFINITY;
    for (let at = this.#firstOpen; at < this.#knownCount; at++) {
      if (this.#isPlaced[at] === 1) continue;
      if (this.#operation(at).calledAt > earliestReturn) break;
      known.push(at);
      earliestReturn = Math.min(earliestReturn, this.#returnOf(at));
    }
    const unknown: number[] = [];
    for (let at = this.#knownCount; at < this.#operations.length; at++) {
      if (this.#operation(at).calledAt > earliestReturn) break;
      if (this.#isPlaced[at] === 0) unknown.push(at);
    }
    return { known, unknown };
  }

  #place(at: number): void {
    this.#budget.steps++;
    this.#isPlaced[at] = 1;
    this.#order.push(at);
    if (at < this.#knownCount) this.#knownPlaced++;
    while (this.#firstOpen < this.#knownCount && this.#isPlaced[this.#firstOpen] === 1) this.#firstOpen++;
  }

  #unplace(at: number): void {
    this.#isPlaced[at] = 0;
    this.#order.pop();
    if (at >= this.#knownCount) return;
    this.#knownPlaced--;
    this.#firstOpen = Math.min(this.#firstOpen, at);
  }

  /** Whether the same operations were not placed before with the same state at their end. */
  #isNew(state: FileState): boolean {
    const key = `${this.#firstOpen}|${this.#placedBeyond().join(",")}|${state === undefined ? "" : `=${state}`}`;
    if (this.#tried.has(key)) return false;
    this.#tried.add(key);
    return true;
  }

  /** What is placed besides everything before `#firstOpen`. */
  #placedBeyond(): number[] {
    const beyond: number[] = [];
    const returnOfOpen = this.#returnOf(this.#firstOpen);
    for (let at = this.#firstOpen + 1; at < this.#knownCount; at++) {
      if (this.#operation(at).calledAt > returnOfOpen) break; // nothing later can be placed before it
      if (this.#isPlaced[at] === 1) beyond.push(at);
    }
    for (let at = this.#knownCount; at < this.#operations.length; at++) if (this.#isPlaced[at] === 1) beyond.push(at);
    return beyond;
  }

  #isSpent(): boolean {
    const { steps, maxSteps, endsAt } = this.#budget;
    return steps > maxSteps || (this.#tried.size % timeCheckEvery === 0 && performance.now() > endsAt);
  }

  #violation(): Verdict {
    const describe = (places: readonly number[]) => places.map((at) => this.#operation(at));
    return {
      type: "violation",
      name: this.#name,
      steps: this.#budget.steps,
      placed: describe(this.#longest.order),
      stuck: describe(this.#longest.stuck),
    };
  }

  #operation(at: number): Invocation {
    const operation = this.#operations[at];
    if (operation === undefined) throw new RangeError(`no operation ${at} of ${this.#operations.length}`);
    return operation;
  }

  #returnOf(at: number): number {
    return this.#operation(at).outcome?.returnedAt ?? Number.POSITIVE_INFINITY;
  }
}
