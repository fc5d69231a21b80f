import type { Chance } from "../../node/base/chance.ts";

/**
 * Seeded chance. Each purpose has a stream of its own, so that drawing one lot more for one purpose leaves all the others
 * as they were: a fault taken away does not change the workload.
 */
export class Lots {
  #state: number;

  constructor(seed: number, purpose: string) {
    let mixed = seed | 0;
    for (let at = 0; at < purpose.length; at += 1) mixed = Math.imul(mixed ^ purpose.charCodeAt(at), 0x01000193);
    this.#state = mixed >>> 0;
    for (let warm = 0; warm < 4; warm += 1) this.next();
  }

  /** Uniform in [0, 1) (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [0, below). */
  int(below: number): number {
    return Math.floor(this.next() * below);
  }

  between(from: number, to: number): number {
    return from + (to - from) * this.next();
  }

  happens(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    const chosen = from[this.int(from.length)];
    if (chosen === undefined) throw new RangeError("nothing to pick from");
    return chosen;
  }

  /** Mostly short, now and then long: `typical` in the middle, a hundred times that at the end. */
  skewed(typical: number): number {
    const offset = 2 * this.next() - 1;
    return typical * Math.exp(4.6 * offset * offset * offset);
  }

  shuffled<T>(some: readonly T[]): T[] {
    const all = [...some];
    for (let at = all.length - 1; at > 0; at -= 1) {
      const other = this.int(at + 1);
      [all[at], all[other]] = [all[other] as T, all[at] as T];
    }
    return all;
  }
}

/** What a simulated node draws its identifiers and delays from. */
export function chanceOf(lots: Lots): Chance {
  const bytes = (count: number) => {
    const drawn = Buffer.allocUnsafe(count);
    for (let at = 0; at < count; at += 1) drawn[at] = lots.int(256);
    return drawn;
  };
  return {
    random: () => lots.next(),
    uuid: () => {
      const hex = bytes(16).toString("hex");
      const variant = "89ab"[lots.int(4)];
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
    secret: bytes,
  };
}
