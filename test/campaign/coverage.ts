/** One time that a fault was there. */
interface Interval {
  readonly fault: string;
  readonly fromMs: number;
  toMs: number;
}

/** How often each fault struck, and which of them were there at the same time. */
export class Coverage {
  readonly #faults: readonly string[];
  readonly #intervals: Interval[] = [];
  readonly #forbidden = new Map<string, number>();

  /** `faults`: all there are, so that one that never struck is seen. */
  constructor(faults: readonly string[]) {
    this.#faults = faults;
  }

  /** A fault strikes at `fromMs`; the answer ends it. */
  began(fault: string, fromMs: number): (toMs: number) => void {
    const interval: Interval = { fault, fromMs, toMs: Number.POSITIVE_INFINITY };
    this.#intervals.push(interval);
    return (toMs) => {
      interval.toMs = toMs;
    };
  }

  /** A fault was drawn that the rules did not allow at that time. */
  forbidden(fault: string): void {
    this.#forbidden.set(fault, (this.#forbidden.get(fault) ?? 0) + 1);
  }

  /** How many faults struck. */
  get count(): number {
    return this.#intervals.length;
  }

  /** By fault, in the order given at first. */
  rows(): readonly { readonly fault: string; readonly times: number; readonly seconds: number; forbidden: number }[] {
    return this.#faults.map((fault) => {
      const own = this.#intervals.filter((interval) => interval.fault === fault);
      const lastedMs = own.reduce((sum, { fromMs, toMs }) => sum + (Number.isFinite(toMs) ? toMs - fromMs : 0), 0);
      return {
        fault,
        times: own.length,
        seconds: lastedMs / 1000,
        forbidden: this.#forbidden.get(fault) ?? 0,
      };
    });
  }

  /** How often two faults were there at the same time, by `one + other`; also two of one kind. Pairs never seen are left out. */
  pairs(): ReadonlyMap<string, number> {
    const pairs = new Map<string, number>();
    const open: Interval[] = [];
    for (const next of this.#intervals.toSorted((one, other) => one.fromMs - other.fromMs)) {
      for (let at = open.length - 1; at >= 0; at--) if ((open[at]?.toMs ?? 0) < next.fromMs) open.splice(at, 1);
      for (const { fault } of open) {
        const pair = this.#pairOf(fault, next.fault);
        pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
      }
      open.push(next);
    }
    return pairs;
  }

  /** How many pairs there can be. */
  get possiblePairs(): number {
    return (this.#faults.length * (this.#faults.length + 1)) / 2;
  }

  #pairOf(one: string, other: string): string {
    return this.#faults.indexOf(one) <= this.#faults.indexOf(other) ? `${one} + ${other}` : `${other} + ${one}`;
  }
}
