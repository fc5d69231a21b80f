import { type LogIndex, logIndex } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { readMeta } from "../catalog/apply.ts";
import type { Entry, LogPosition, RaftOptions } from "../raft/types.ts";
import type { CatalogStore, LogStore } from "../storage/types.ts";

const readBytes = 4 << 20;

/** What the consensus core starts from. */
export type StartState = Pick<
  RaftOptions,
  | "hardState"
  | "configuration"
  | "logBase"
  | "termRuns"
  | "entries"
  | "lastIndex"
  | "applied"
  | "lostPromises"
  | "promisedIndex"
>;

/** Whether the log goes on where the catalog stands; otherwise the catalog must be installed from a peer first. */
export function catalogReachesLog(catalog: CatalogStore, log: LogStore): boolean {
  return readMeta(catalog).applied.index >= log.recovered.base.index;
}

/** Reads what the disk holds, and resets a log that ends before what the catalog has applied, or contradicts it. */
export async function readStartState(catalog: CatalogStore, log: LogStore): Promise<StartState> {
  const { applied, configuration } = readMeta(catalog);
  const { hardState, lostPromises, promisedIndex, base, termRuns, lastIndex } = log.recovered;
  // What lies between them would be gone for good.
  invariant(base.index <= applied.index, () => `log base ${base.index} after applied ${applied.index}`);
  if (!holds(log, applied)) {
    // What is applied is committed, so a log that does not hold it is older or damaged: the catalog stands for all of it.
    await log.reset(applied);
    const empty = { logBase: applied, termRuns: [], entries: [], lastIndex: applied.index };
    return { hardState, configuration, applied: applied.index, lostPromises, promisedIndex, ...empty };
  }
  const entries = await readEntries(log, logIndex(applied.index + 1), lastIndex);
  return {
    hardState,
    configuration,
    applied: applied.index,
    lostPromises,
    promisedIndex,
    logBase: base,
    termRuns,
    entries,
    lastIndex,
  };
}

function holds(log: LogStore, position: LogPosition): boolean {
  const { base, termRuns, lastIndex } = log.recovered;
  if (position.index === base.index) return position.term === base.term;
  if (position.index > lastIndex) return false;
  return termRuns.findLast(({ index }) => index <= position.index)?.term === position.term;
}

async function readEntries(log: LogStore, from: LogIndex, through: LogIndex): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let next = from; next <= through; ) {
    const read = await log.read(next, readBytes);
    const last = read.at(-1);
    invariant(last !== undefined && read[0]?.index === next, () => `log ends at ${next}, ${through} expected`);
    for (const entry of read) entries.push(entry);
    next = logIndex(last.index + 1);
  }
  return entries;
}
