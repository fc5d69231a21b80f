import { logIndex } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { LogPosition } from "../raft/types.ts";
import { LevelClosedError, LevelDamagedError } from "./disk.ts";
import {
  baseKey,
  type ChainedPosition,
  decodeBase,
  decodeEntry,
  encodeBase,
  entriesEnd,
  entryKey,
} from "./entry-codec.ts";
import { type Claim } from "./hard-state-slot.ts";
import { createLevel, type LevelStore, openLevel } from "./level.ts";
import { logLevelOptions, type Place } from "./place.ts";

const groupBytes = 1 << 20;

/** What the LevelDB of a log holds: an unbroken chain of verified entries after `base`. */
export interface LogContent {
  readonly level: LevelStore;
  readonly base: ChainedPosition;
  readonly last: ChainedPosition;
  /** Where each term starts, from the first entry to the last. */
  readonly termRuns: readonly LogPosition[];
  /** Why the log ends at `last` although it should go on: what follows is missing, wrong, or not what was promised. */
  readonly damage: string | undefined;
}

/** Creates the LevelDB of a log generation: the base row, and nothing after it. */
export async function createLog(place: Place, generation: number, base: ChainedPosition): Promise<LevelStore> {
  const level = await createLevel(logLevelOptions(place, generation));
  await level.write([{ key: baseKey, value: encodeBase(base) }], { sync: true });
  return level;
}

/** Opens a log, reads all of it and compares it with the claim; a text says why it cannot be used at all. */
export async function readLog(place: Place, generation: number, claim: Claim): Promise<LogContent | string> {
  let level: LevelStore;
  try {
    level = await openLevel(logLevelOptions(place, generation));
  } catch (error) {
    if (error instanceof LevelDamagedError) return error.message;
    throw error;
  }
  const base = readBase(level);
  if (typeof base === "string") {
    await level.close();
    return base;
  }
  return { level, base, ...(await walk(level, base, claim)) };
}

function readBase(level: LevelStore): ChainedPosition | string {
  try {
    const row = level.get(baseKey);
    return (row === undefined ? undefined : decodeBase(row)) ?? "the base row is gone or damaged";
  } catch (error) {
    return damageOf(error);
  }
}

async function walk(level: LevelStore, base: ChainedPosition, claim: Claim) {
  const termRuns: LogPosition[] = [];
  let last = base;
  const ended = (damage: string | undefined) => ({ last, termRuns, damage });
  try {
    for await (const rows of level.rows(entriesAfter(base), groupBytes)) {
      for (const { key, value } of rows) {
        const expected = logIndex(last.index + 1);
        if (Buffer.compare(key, entryKey(expected)) !== 0) return ended(`entry ${expected} is missing`);
        const read = decodeEntry(value, last);
        if ("damage" in read) return ended(read.damage);
        if (read.at.index === claim.index && read.at.chain !== claim.chain) {
          return ended(`entry ${expected} is not the one that was promised`);
        }
        if (termRuns.at(-1)?.term !== read.at.term) termRuns.push({ index: read.at.index, term: read.at.term });
        last = read.at;
      }
    }
  } catch (error) {
    return ended(damageOf(error));
  }
  return ended(
    last.index < claim.index ? `the log ends at ${last.index}, before the promised ${claim.index}` : undefined,
  );
}

/** Copies what is good in `content` into a new generation; synced when it resolves. */
export async function copyLog(place: Place, content: LogContent, generation: number): Promise<LevelStore> {
  const level = await createLog(place, generation, content.base);
  if (content.last.index === content.base.index) return level;
  let copied: number = content.base.index;
  // The very walk that found them good: another range could make LevelDB stumble over a damaged table before the end.
  for await (const rows of content.level.rows(entriesAfter(content.base), groupBytes)) {
    const good = rows.slice(0, content.last.index - copied);
    await level.write(good, { sync: false });
    copied += good.length;
    if (copied === content.last.index) break;
  }
  invariant(copied === content.last.index, () => `copied entries up to ${copied} of ${content.last.index}`);
  await level.write([{ key: baseKey, value: encodeBase(content.base) }], { sync: true });
  await level.sync();
  return level;
}

/** The keys of all entries after `base`. */
export function entriesAfter(base: LogPosition) {
  return { from: entryKey(base.index + 1), before: entriesEnd };
}

function damageOf(error: unknown): string {
  if (error instanceof LevelClosedError) throw error;
  return String(error);
}
