import type { LogIndex } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { decodeConfiguration } from "./configuration.ts";
import { mayFollow } from "./configuration-change.ts";
import type { Configuration, Entry } from "./types.ts";

interface Adopted {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/**
 * The configurations that stand in the log. The newest one counts from the moment it is appended, committed or not,
 * and is rolled back when its entry is truncated (dissertation §4.1).
 */
export class ConfigurationHistory {
  #adopted: Adopted[];

  constructor(index: LogIndex, configuration: Configuration) {
    this.#adopted = [{ index, configuration }];
  }

  get current(): Configuration {
    return this.#newest.configuration;
  }

  /** Where the current configuration stands in the log. */
  get currentIndex(): LogIndex {
    return this.#newest.index;
  }

  /** The newest one at or before `commitIndex`, which nothing can roll back, and all after it. */
  since(commitIndex: LogIndex): readonly Configuration[] {
    const settled = this.#adopted.findLastIndex(({ index }) => index <= commitIndex);
    return this.#adopted.slice(Math.max(0, settled)).map(({ configuration }) => configuration);
  }

  get #newest(): Adopted {
    const newest = this.#adopted.at(-1);
    invariant(newest !== undefined, () => "no configuration is left");
    return newest;
  }

  /** Takes in the configurations among appended entries. */
  adopt(entries: readonly Entry[]): void {
    for (const { kind, index, data } of entries) {
      if (kind !== "configuration") continue;
      invariant(index > this.currentIndex, () => `configuration at ${index} after ${this.currentIndex}`);
      const configuration = decodeConfiguration(data);
      invariant(mayFollow(this.current, configuration), () => `configuration ${index} does not follow from the last`);
      this.#adopted.push({ index, configuration });
    }
  }

  /** Entries from `index` on are gone from the log. */
  truncateFrom(index: LogIndex): void {
    this.#adopted = this.#adopted.filter((each) => each.index < index);
    invariant(this.#adopted.length > 0, () => `the last configuration was truncated at ${index}`);
  }

  /** Entries up to `index` are committed and never rolled back: older configurations are not needed any more. */
  settleThrough(index: LogIndex): void {
    const kept = this.#adopted.findLastIndex((each) => each.index <= index);
    if (kept > 0) this.#adopted.splice(0, kept);
  }

  /** A snapshot took the place of the log. */
  reset(index: LogIndex, configuration: Configuration): void {
    this.#adopted = [{ index, configuration }];
  }
}
