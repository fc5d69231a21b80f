import type { Random } from "../../../node/base/clock.ts";

export type DiskWork = "read" | "write" | "names" | "sync" | "table";

/** How long each kind of work takes, in virtual milliseconds, from and to. */
export type DiskLatency = Readonly<Record<DiskWork, readonly [number, number]>>;

/** A solid-state disk that is not idle. */
export const defaultLatency: DiskLatency = {
  read: [0.05, 0.4],
  write: [0.02, 0.2],
  names: [0.02, 0.2],
  sync: [0.3, 3],
  table: [5, 50], // a file of a LevelDB's write-ahead log, into a table
};

/** A latency: now and then ten times as long as the longest. */
export function drawLatency([from, to]: readonly [number, number], random: Random): number {
  const usual = from + random() * (to - from);
  return random() < 0.01 ? usual + 10 * to : usual;
}
