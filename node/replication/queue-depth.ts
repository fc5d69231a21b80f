import type { Entry } from "../raft/types.ts";

/** What waits in one queue. */
export interface QueueDepth {
  readonly count: number;
  readonly sizeBytes: number;
}

/** The entries and the bytes in them. */
export function depthOf(entries: Iterable<Entry>): QueueDepth {
  let count = 0;
  let sizeBytes = 0;
  for (const { data } of entries) {
    count += 1;
    sizeBytes += data.byteLength;
  }
  return { count, sizeBytes };
}
