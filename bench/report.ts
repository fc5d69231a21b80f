import type { Measured, Scenario } from "./load.ts";
import type { RawLimits } from "./raw-limits.ts";

/** One line of the table. */
export interface Result extends Scenario, Measured {
  readonly what: "deposit" | "retrieve";
  readonly batching: boolean;
}

export interface Report {
  readonly node: string;
  readonly processor: string;
  readonly cores: number;
  readonly raw: RawLimits;
  readonly results: readonly Result[];
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function rawLimitsText(raw: RawLimits): string {
  return [
    `  LevelDB, 1 KiB, synced, one at a time    ${whole(raw.levelSinglePutsPerSecond)} puts/s`,
    `  LevelDB, 1 KiB, synced, batches of 64    ${whole(raw.levelBatchedPutsPerSecond)} puts/s`,
    `  files of 1 KiB, synced, one at a time    ${whole(raw.syncedFilesPerSecond)} files/s`,
    `  files of 1 KiB, synced, 64 at a time     ${whole(raw.syncedFilesParallelPerSecond)} files/s`,
    `  one file, synced every 64 MiB            ${whole(raw.sequentialMBPerSecond)} MB/s`,
    `  sha256, one core                         ${whole(raw.sha256MBPerSecond)} MB/s`,
  ].join("\n");
}

/** One line each: what, size, connections, rate, latency. */
export function resultsText(results: readonly Result[]): string {
  return results
    .map(({ what, sizeBytes, connections, batching, perSecond, MBPerSecond, p50Ms, p99Ms }) =>
      [
        `  ${what.padEnd(8)}`,
        sizeText(sizeBytes).padStart(8),
        `${connections} conn.`.padStart(9),
        `${whole(perSecond)}/s`.padStart(10),
        `${MBPerSecond.toFixed(1)} MB/s`.padStart(12),
        `p50 ${p50Ms.toFixed(1)} ms`.padStart(14),
        `p99 ${p99Ms.toFixed(1)} ms`.padStart(14),
        batching ? "" : "  batching off",
      ].join(" "),
    )
    .join("\n");
}

/** What the figures mean beside each other: the only part worth quoting. */
export function ratiosText({ raw, results }: Report): string {
  const find = (what: Result["what"], sizeBytes: number, connections: number, batching: boolean) =>
    results.find(
      (each) =>
        each.what === what &&
        each.sizeBytes === sizeBytes &&
        each.connections === connections &&
        each.batching === batching,
    );
  const small = find("deposit", 1024, 64, true);
  const alone = find("deposit", 1024, 64, false);
  const large = find("deposit", 256 << 20, 1, true);
  const lines: string[] = [];
  if (small !== undefined && alone !== undefined)
    lines.push(`  1 KiB deposits at 64 connections: ${(small.perSecond / alone.perSecond).toFixed(1)} × batching off`);
  if (small !== undefined)
    lines.push(
      `  … and ${ratio(small.perSecond, raw.syncedFilesParallelPerSecond)} of the raw synced files/s (each deposit syncs 3)`,
    );
  if (large !== undefined)
    lines.push(
      `  256 MiB deposits: ${ratio(large.MBPerSecond, raw.sequentialMBPerSecond)} of one raw synced stream (each deposit writes 3)`,
    );
  return lines.join("\n");
}

function ratio(reached: number, limit: number): string {
  return (reached / limit).toFixed(2);
}

function sizeText(sizeBytes: number): string {
  return sizeBytes >= 1 << 20 ? `${sizeBytes >> 20} MiB` : `${sizeBytes >> 10} KiB`;
}
