import { type LogIndex, logIndex, type Term, term } from "../base/ids.ts";
import type { LogPosition } from "../raft/types.ts";
import { freshBase } from "./entry-codec.ts";
import type { HardStateFile } from "./hard-state-file.ts";
import type { Lost } from "./hard-state-slot.ts";
import { copyLog, createLog, type LogContent, readLog } from "./log-files.ts";
import { LogStoreOnDisk } from "./log-store.ts";
import type { Place } from "./place.ts";

/**
 * Opening the log: it is read in full and compared with the claim in the hard-state file.
 *
 *   whole, and the claim is in it                                → used as it is
 *   shorter than the claim, other than it, or damaged somewhere  → the good part before that is copied into a new
 *                                                                  generation, and promises are lost
 *   not to be opened                                             → a new, empty generation after what is applied;
 *                                                                  promises are lost
 *   ends before what is applied, or contradicts it               → a new, empty generation after what is applied: a
 *                                                                  snapshot was installed and the log not yet reset
 *
 * A damaged log is never repaired in place: LevelDB would have to read the damaged blocks to delete them.
 */
interface Plan {
  readonly lost: Lost;
  /** Undefined: the files can be used as they are. */
  readonly replaceWith: "good part" | "nothing" | undefined;
}

/** Opens the log; `applied` is where the catalog stands, undefined when there is no catalog. */
export async function openLog(
  place: Place,
  hardState: HardStateFile,
  applied: LogPosition | undefined,
): Promise<LogStoreOnDisk> {
  const { promised, lost, logGeneration, votedFor, term: currentTerm } = hardState.state;
  const found = await readLog(place, logGeneration, promised);
  const finding = typeof found === "string" ? found : found.damage;
  if (finding !== undefined) place.logger.error({ generation: logGeneration, promised, finding }, "the log is damaged");

  const plan = planFor(found, applied, lost);
  const generation = plan.replaceWith === undefined ? logGeneration : logGeneration + 1;
  const log = await carryOut(place, plan, found, { generation, applied });
  const { level, base, last, termRuns } = log;
  const keepsClaim = plan.lost === "entries" || (plan.lost === "claim" && last.index < promised.index);
  // Every vote stood in both slots before it was given; only an entry's term can be newer than a slot that survived.
  const vote = last.term > currentTerm ? { term: last.term, votedFor: undefined } : { term: currentTerm, votedFor };
  await hardState.update({
    ...vote,
    logGeneration: generation,
    lost: plan.lost,
    // Entries behind the claim were synced before a crash and may be promised from now on, so the claim covers them.
    promised: keepsClaim ? promised : { index: last.index, chain: last.chain },
  });
  if (plan.replaceWith !== undefined) {
    if (typeof found !== "string") await found.level.close();
    await place.disk.removeTree(place.layout.log(logGeneration));
  }
  return new LogStoreOnDisk(place, hardState, level, {
    hardState: vote,
    base,
    last,
    termRuns,
    lostPromises: plan.lost !== "nothing",
    promisedIndex: plan.lost === "claim" ? undefined : hardState.state.promised.index,
  });
}

function planFor(found: LogContent | string, applied: LogPosition | undefined, before: Lost): Plan {
  // A doubt about the claim itself outlasts every finding; only the core can end it.
  const damaged = before === "claim" ? "claim" : "entries";
  const sound = before === "claim" ? "claim" : "nothing";
  if (typeof found === "string") return { lost: damaged, replaceWith: "nothing" };
  const lost = found.damage === undefined ? sound : damaged;
  if (applied !== undefined && applied.index >= found.base.index && termAt(found, applied.index) !== applied.term) {
    return { lost, replaceWith: "nothing" };
  }
  return { lost, replaceWith: found.damage === undefined ? undefined : "good part" };
}

async function carryOut(
  place: Place,
  plan: Plan,
  found: LogContent | string,
  to: { readonly generation: number; readonly applied: LogPosition | undefined },
): Promise<Pick<LogContent, "level" | "base" | "last" | "termRuns">> {
  if (typeof found === "string" || plan.replaceWith === "nothing") {
    const base = freshBase(to.applied ?? { index: logIndex(0), term: term(0) });
    return { level: await createLog(place, to.generation, base), base, last: base, termRuns: [] };
  }
  if (plan.replaceWith === undefined) return found;
  return { ...found, level: await copyLog(place, found, to.generation) };
}

/** The term at `index`; undefined when the log ends before it. */
function termAt(log: LogContent, index: LogIndex): Term | undefined {
  if (index > log.last.index) return undefined;
  if (index === log.base.index) return log.base.term;
  return log.termRuns.findLast((run) => run.index <= index)?.term;
}
