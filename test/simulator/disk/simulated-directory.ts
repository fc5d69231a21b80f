import type { Random } from "../../../node/base/clock.ts";
import type { SimulatedFile } from "./simulated-file.ts";
import type { SimulatedLevel } from "./simulated-level.ts";

export type Thing = SimulatedFile | SimulatedDirectory | SimulatedLevel;

/** One name given, taken away, or given to something else. */
export interface NameChange {
  readonly name: string;
  readonly before: Thing | undefined;
  /** A sync of it failed: it is never written any more, and no later sync tells. */
  isCondemned: boolean;
}

/** The names in one directory, as processes see them, and the changes since they were synced. */
export class SimulatedDirectory {
  readonly type = "directory";
  readonly #names = new Map<string, Thing>();
  #changes: NameChange[] = [];

  get(name: string): Thing | undefined {
    return this.#names.get(name);
  }

  entries(): [string, Thing][] {
    return [...this.#names];
  }

  set(name: string, thing: Thing | undefined): void {
    this.#changes.push({ name, before: this.#names.get(name), isCondemned: false });
    this.#put(name, thing);
  }

  /** What the name may stand for after a power cut: what it stands for now, and before each change that was not synced. */
  possibly(name: string): readonly (Thing | undefined)[] {
    return [this.#names.get(name), ...this.#changes.flatMap((each) => (each.name === name ? [each.before] : []))];
  }

  beginSync(): NameChange | undefined {
    return this.#changes.at(-1);
  }

  endSync(through: NameChange | undefined): void {
    const synced = this.#through(through);
    this.#changes.splice(0, synced.length, ...synced.filter(({ isCondemned }) => isCondemned));
  }

  failSync(through: NameChange | undefined): void {
    for (const change of this.#through(through)) change.isCondemned = true;
  }

  /** The power is gone: each name that was not synced falls back, with chance `share` for each step; what fell back. */
  forget(random: Random, share: number): { readonly name: string; readonly thing: Thing | undefined }[] {
    const standing = new Set<string>();
    const lost = new Map<string, Thing | undefined>();
    for (const { name, before } of this.#changes.toReversed()) {
      if (standing.has(name)) continue;
      if (random() < share) lost.set(name, before);
      else standing.add(name);
    }
    for (const [name, thing] of lost) this.#put(name, thing);
    this.#changes = [];
    return [...lost].map(([name, thing]) => ({ name, thing }));
  }

  #put(name: string, thing: Thing | undefined): void {
    if (thing === undefined) this.#names.delete(name);
    else this.#names.set(name, thing);
  }

  #through(change: NameChange | undefined): NameChange[] {
    return change === undefined ? [] : this.#changes.slice(0, this.#changes.indexOf(change) + 1);
  }
}
