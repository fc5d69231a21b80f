import type { CatalogTotals, FileRecord } from "./types.ts";

export const noTotals: CatalogTotals = { files: 0, bytes: 0, wanted: 0, present: 0, missing: 0, unplaced: 0 };

/** What one file adds to the totals: `wanted` is its replica count, `present` and `missing` its holders, `unplaced` the rest. */
export function totalsOf(record: FileRecord | undefined): CatalogTotals {
  if (record === undefined) return noTotals;
  const present = record.holders.filter(({ state }) => state === "present").length;
  return {
    files: 1,
    bytes: record.blob.sizeBytes,
    wanted: record.replicas,
    present,
    missing: record.holders.length - present,
    unplaced: Math.max(0, record.replicas - record.holders.length),
  };
}

export function addTotals(totals: CatalogTotals, change: CatalogTotals, sign: 1 | -1): CatalogTotals {
  return {
    files: totals.files + sign * change.files,
    bytes: totals.bytes + sign * change.bytes,
    wanted: totals.wanted + sign * change.wanted,
    present: totals.present + sign * change.present,
    missing: totals.missing + sign * change.missing,
    unplaced: totals.unplaced + sign * change.unplaced,
  };
}
