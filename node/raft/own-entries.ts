import { logIndex } from "../base/ids.ts";
import { entryBytes } from "./log.ts";
import type { Leading, RaftState } from "./state.ts";
import type { Entry, EntryKind } from "./types.ts";

/** Appends entries of the own term to the leader's log, one for each payload. */
export function appendOwn(
  state: RaftState,
  leading: Leading,
  kind: EntryKind,
  payloads: readonly Uint8Array[],
): readonly Entry[] {
  const { log, term } = state;
  const first = log.last.index + 1;
  const entries: Entry[] = payloads.map((data, at) => ({ index: logIndex(first + at), term, kind, data }));
  log.append(entries);
  state.effects.append(entries);
  for (const entry of entries) leading.uncommittedBytes += entryBytes(entry);
  return entries;
}
