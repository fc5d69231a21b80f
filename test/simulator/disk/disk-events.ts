/** What a simulated disk did to its user, and the states that it came to. */
export type DiskEvent =
  | "power-cut"
  | "kill"
  | "page-lost" // a page fell back to what was synced
  | "write-torn" // a part of the last write
  | "name-lost" // a name fell back to what was synced
  | "batch-lost" // a batch of a LevelDB
  | "batch-hole" // with a later one still there
  | "level-cut"
  | "level-half-removed"
  | "level-damaged" // found on opening
  | "sync-failed"
  | "write-failed"
  | "disk-full"
  | "file-flipped"
  | "table-flipped"
  | "log-flipped"
  | "write-misdirected";

/** How often each event came. */
export class DiskEvents {
  readonly #counts = new Map<DiskEvent, number>();

  note(event: DiskEvent, times = 1): void {
    if (times > 0) this.#counts.set(event, this.of(event) + times);
  }

  of(event: DiskEvent): number {
    return this.#counts.get(event) ?? 0;
  }

  all(): ReadonlyMap<DiskEvent, number> {
    return this.#counts;
  }
}
