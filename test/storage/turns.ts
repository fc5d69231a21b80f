import type { CatalogReader, Write } from "../../node/catalog/types.ts";
import type { Entry } from "../../node/raft/types.ts";
import { appliedRow, entry, position } from "./support.ts";

// A history whose every state differs from all others: turn n is entry n + 1 of the log, and changes these rows.

/** The entry of the log that stands for a turn. */
export function entryOf(turn: number): Entry {
  return entry(turn + 1, 1, `turn ${turn}`);
}

/** What a turn writes into the catalog: some rows anew, one away; now and then much more than a block of LevelDB's log. */
export function writesOf(turn: number): Write[] {
  const sizeBytes = turn % 23 === 0 ? 70_000 : (turn * 7919) % 3000;
  return [
    { key: Buffer.from(`k${turn % 20}`), value: Buffer.from(`${turn} `.padEnd(sizeBytes, `${turn}`)) },
    { key: Buffer.from(`l${turn}`), value: Buffer.from(`${turn}`) },
    { key: Buffer.from(`l${turn - 3}`), value: undefined },
    appliedRow(position(turn + 1, 1)),
  ];
}

/** Turns come in groups, one write each; the last turn of the group that starts with this one. */
export function groupFrom(turn: number): number {
  return turn + ((turn * 31) % 5);
}

/** The rows after a turn, as text. */
export function rowsAfter(turn: number): Map<string, string> {
  const rows = new Map<string, string>([["applied", JSON.stringify(position(1, 1))]]);
  for (let done = 1; done <= turn; done += 1) {
    for (const { key, value } of writesOf(done)) {
      if (value === undefined) rows.delete(Buffer.from(key).toString());
      else rows.set(Buffer.from(key).toString(), Buffer.from(value).toString());
    }
  }
  return rows;
}

/** The rows that a catalog holds, as text. */
export async function rowsOf(catalog: CatalogReader): Promise<Map<string, string>> {
  const rows = await catalog.range({ from: Buffer.alloc(0), before: Buffer.of(0xff), limit: 100_000 });
  return new Map(rows.map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value).toString()]));
}
