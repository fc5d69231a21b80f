import type { DiskEvent } from "./disk/disk-events.ts";
import { faultNames } from "./faults/fault.ts";

/** What a run of many seeds should have met; one that did not meet something says so. */
const states = [
  "elections",
  "leader changes",
  "entries truncated",
  "votes split",
  "leadership handed over",
  "snapshots installed",
  "catalog reinstalled on start",
  "lost promises found",
  "lost promises refilled",
  "joint configurations",
  "nodes added",
  "nodes removed",
  "retries deduplicated",
  "commands expired",
  "reads refused",
  "reads confirmed",
  "deposits acknowledged",
  "outcomes unknown",
  "preconditions failed",
  "bytes streamed",
  "damaged replicas met",
  "replicas repaired",
  "replicas dropped",
  "not-enough-space (507)",
  "not-enough-nodes (503)",
  "no-quorum (503)",
  "node ended by its disk",
  "node refused to start",
] as const;
const networkFaultNames = ["frame lost", "frame duplicated", "frame overtaken", "call broken"] as const;
export type ReachedState = (typeof states)[number];

/** How often each fault and each interesting state was reached. */
export class Coverage {
  readonly #counts = new Map<string, number>();

  count(state: ReachedState, times = 1): void {
    this.#add(`state ${state}`, times);
  }

  fault(name: string, times = 1): void {
    this.#add(`fault ${name}`, times);
  }

  disk(event: DiskEvent, times: number): void {
    this.#add(`disk ${event}`, times);
  }

  add(other: Iterable<readonly [string, number]>): void {
    for (const [key, times] of other) this.#add(key, times);
  }

  entries(): Iterable<readonly [string, number]> {
    return this.#counts;
  }

  /** Lines for people: faults, states and what disks did; the ones never reached too. */
  report(): readonly string[] {
    const disk = [...this.#counts.keys()].filter((key) => key.startsWith("disk ")).map((key) => key.slice(5));
    return [
      ...this.#lines("fault", [...faultNames, ...networkFaultNames]),
      ...this.#lines("state", states),
      ...this.#lines("disk", disk.sort()),
    ];
  }

  #lines(kind: string, names: readonly string[]): readonly string[] {
    const lines = names.map((name) => {
      const count = this.#counts.get(`${kind} ${name}`) ?? 0;
      return `  ${name.padEnd(34)} ${count === 0 ? "never reached" : count}`;
    });
    return [kind, ...lines];
  }

  #add(key: string, times: number): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + times);
  }
}
