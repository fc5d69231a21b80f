import { pick, type Random } from "../support/seeded-random.ts";

export interface NamePoolOptions {
  readonly prefix: string;
  /** How many names are in use at a time: few, so that clients meet on them. */
  readonly width: number;
  /** A name retires after so many operations … */
  readonly maxOperations: number;
  /** … or so many with unknown outcome: each could take effect anywhere later, which is what makes a history hard to judge. */
  readonly maxUnknown: number;
}

/** The names that clients work on. Each retires in time, so that its history is never too long to be decided. */
export class NamePool {
  /** Every name there ever was. */
  readonly all: string[] = [];
  readonly #options: NamePoolOptions;
  readonly #inUse: { readonly name: string; operations: number; unknown: number }[] = [];

  constructor(options: NamePoolOptions) {
    this.#options = options;
    while (this.#inUse.length < options.width) this.#inUse.push(this.#make());
  }

  pick(random: Random): string {
    return pick(this.#inUse, random).name;
  }

  /** An operation on the name has ended. */
  note(name: string, isUnknown: boolean): void {
    const place = this.#inUse.findIndex((entry) => entry.name === name);
    const entry = this.#inUse[place];
    if (entry === undefined) return; // retired while the operation was under way
    entry.operations++;
    if (isUnknown) entry.unknown++;
    const { maxOperations, maxUnknown } = this.#options;
    if (entry.operations >= maxOperations || entry.unknown >= maxUnknown) this.#inUse[place] = this.#make();
  }

  #make() {
    const name = `${this.#options.prefix}/é ${this.all.length}`;
    this.all.push(name);
    return { name, operations: 0, unknown: 0 };
  }
}
