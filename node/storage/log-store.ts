import { DepositoError } from "../base/errors.ts";
import type { LogIndex } from "../base/ids.ts";
import { logIndex } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Write } from "../catalog/types.ts";
import type { Entry, HardState, LogPosition } from "../raft/types.ts";
import { LevelClosedError } from "./disk.ts";
import {
  baseKey,
  type ChainedPosition,
  decodeAlone,
  decodeEntry,
  encodeBase,
  encodeEntry,
  entryKey,
  freshBase,
} from "./entry-codec.ts";
import type { HardStateFile } from "./hard-state-file.ts";
import type { Claim, Lost } from "./hard-state-slot.ts";
import type { LevelStore } from "./level.ts";
import { createLog } from "./log-files.ts";
import type { Place } from "./place.ts";
import type { LogStore } from "./types.ts";

const entriesPerTrim = 4096;
const damaged = "the log is damaged on disk; restart this node to have it refilled";

/** What the log is made from, after `log-recovery.ts` has read it. */
export interface RecoveredLog {
  readonly hardState: HardState;
  readonly base: ChainedPosition;
  readonly last: ChainedPosition;
  readonly termRuns: readonly LogPosition[];
  readonly lostPromises: boolean;
  readonly promisedIndex: LogIndex | undefined;
}

/**
 * The log in LevelDB, tied to its claim in the hard-state file. One `persist`:
 *
 *   1  hard state: term and vote; the claim lowered to before the first replaced entry   (only if there is any of these)
 *   2  LevelDB, one synced batch: replaced entries out, new ones in
 *   3  hard state: the claim raised to the last entry
 *
 * Whenever the process dies, the claim is on disk for everything that was acknowledged, and never for more than is.
 */
export class LogStoreOnDisk implements LogStore {
  readonly recovered: LogStore["recovered"];
  readonly #place: Place;
  readonly #hardState: HardStateFile;
  #level: LevelStore;
  #base: ChainedPosition;
  #last: ChainedPosition;
  #rewriting: Promise<void> | undefined;

  constructor(place: Place, hardState: HardStateFile, level: LevelStore, found: RecoveredLog) {
    this.#place = place;
    this.#hardState = hardState;
    this.#level = level;
    this.#base = found.base;
    this.#last = found.last;
    this.recovered = {
      hardState: found.hardState,
      base: { index: found.base.index, term: found.base.term },
      lastIndex: found.last.index,
      termRuns: found.termRuns,
      lostPromises: found.lostPromises,
      promisedIndex: found.promisedIndex,
    };
  }

  async persist(change: { readonly hardState: HardState | undefined; readonly append: readonly Entry[] }) {
    this.#place.failStop.check();
    const first = change.append[0];
    const vote = change.hardState && { term: change.hardState.term, votedFor: change.hardState.votedFor };
    if (first === undefined) {
      if (vote !== undefined) await this.#hardState.update(vote);
      return;
    }
    invariant(
      first.index > this.#base.index && first.index <= this.#last.index + 1,
      () => `append at ${first.index} to a log of ${this.#base.index + 1} to ${this.#last.index}`,
    );
    const before = this.#positionAt(logIndex(first.index - 1));
    const { writes, last } = this.#batchFor(change.append, before);
    const lowered = first.index <= this.#last.index && this.#promises.lost === "nothing";
    if (vote !== undefined || lowered) {
      await this.#hardState.update({ ...vote, ...(lowered ? { promised: claimAt(before) } : {}) });
    }
    const { term } = this.#hardState.state;
    invariant(last.term <= term, () => `entry ${last.index} of term ${last.term} in term ${term}`);
    const writing = this.#level.write(writes, { sync: true });
    // What is being replaced may be gone from LevelDB before this write resolves, so reads wait for it.
    if (first.index <= this.#last.index) this.#rewriting = writing.catch(() => undefined);
    await writing;
    this.#last = last;
    this.#rewriting = undefined;
    await this.#raiseClaim();
  }

  async read(from: LogIndex, maxBytes: number): Promise<readonly Entry[]> {
    while (this.#rewriting !== undefined) await this.#rewriting;
    this.#place.failStop.check();
    const base = this.#base;
    const last = this.#last;
    if (from <= base.index || from > last.index) return [];
    const level = this.#level;
    try {
      // From the entry before, so that the first one read is tied to the chain as well.
      return await readChain(level, { base, last, from, maxBytes });
    } catch (error) {
      // Reset in the meantime: what was asked for is not in the log any more.
      if (level !== this.#level) return [];
      if (error instanceof LevelClosedError)
        throw new DepositoError("storage-failed", "the log is closed", { cause: error });
      throw this.#place.failStop.fail(damaged, error);
    }
  }

  async trim(through: LogPosition): Promise<void> {
    this.#place.failStop.check();
    const { term } = this.#positionAt(through.index);
    invariant(term === through.term, () => `trim at ${through.index} of ${through.term}, here of ${term}`);
    while (this.#base.index < through.index) {
      // Base row and removals in one batch: there is never a gap, so nothing needs a sync. By key, not by range, because
      // LevelDB would have to read what may be damaged.
      const base = this.#positionAt(logIndex(Math.min(through.index, this.#base.index + entriesPerTrim)));
      const writes: Write[] = [{ key: baseKey, value: encodeBase(base) }];
      for (let index = this.#base.index + 1; index <= base.index; index += 1) {
        writes.push({ key: entryKey(index), value: undefined });
      }
      // Before the batch is under way: a read that starts now must not look for what is going.
      this.#base = base;
      await this.#level.write(writes, { sync: false });
    }
  }

  async reset(position: LogPosition): Promise<void> {
    this.#place.failStop.check();
    const { logGeneration } = this.#hardState.state;
    const base = freshBase(position);
    // A new generation, so that one write of the hard state takes the old log, its claim and all away at once.
    const level = await createLog(this.#place, logGeneration + 1, base);
    const { lost, promised } = this.#promises;
    const covered = lost === "nothing" || position.index >= promised.index;
    await this.#hardState.update({
      logGeneration: logGeneration + 1,
      ...(covered ? { promised: claimAt(base), lost: lost === "claim" ? "claim" : "nothing" } : {}),
    });
    const former = this.#level;
    this.#level = level;
    this.#base = base;
    this.#last = base;
    await former.close();
    await this.#place.disk.removeTree(this.#place.layout.log(logGeneration));
  }

  async promisesRefilled(): Promise<void> {
    this.#place.failStop.check();
    if (this.#promises.lost === "nothing") return;
    await this.#hardState.update({ lost: "nothing", promised: claimAt(this.#last) });
  }

  async close(): Promise<void> {
    await this.#level.close();
  }

  get #promises(): { readonly promised: Claim; readonly lost: Lost } {
    return this.#hardState.state;
  }

  // While entries are lost the claim waits where it is: reaching it again means that a leader of a term not older than
  // ours has sent everything up to there, and so everything that was committed with this node's help.
  async #raiseClaim(): Promise<void> {
    const { lost, promised } = this.#promises;
    if (lost === "nothing") {
      await this.#hardState.update({ promised: claimAt(this.#last) });
    } else if (this.#last.index >= promised.index) {
      await this.#hardState.update({
        promised: claimAt(this.#last),
        ...(lost === "entries" ? { lost: "nothing" as const } : {}),
      });
    }
  }

  #batchFor(append: readonly Entry[], before: ChainedPosition): { writes: Write[]; last: ChainedPosition } {
    const writes: Write[] = [];
    let last = before;
    for (const entry of append) {
      const { value, at } = encodeEntry(entry, last);
      writes.push({ key: entryKey(entry.index), value });
      last = at;
    }
    for (let index = last.index + 1; index <= this.#last.index; index += 1) {
      writes.push({ key: entryKey(index), value: undefined });
    }
    return { writes, last };
  }

  #positionAt(index: LogIndex): ChainedPosition {
    if (index === this.#last.index) return this.#last;
    if (index === this.#base.index) return this.#base;
    invariant(
      index > this.#base.index && index < this.#last.index,
      () => `no entry ${index} in a log of ${this.#base.index + 1} to ${this.#last.index}`,
    );
    try {
      const read = decodeAlone(this.#level.get(entryKey(index)) ?? new Uint8Array(), index);
      if ("damage" in read) throw new Error(read.damage);
      return read.at;
    } catch (error) {
      throw this.#place.failStop.fail(damaged, error);
    }
  }
}

async function readChain(
  level: LevelStore,
  what: {
    readonly base: ChainedPosition;
    readonly last: ChainedPosition;
    readonly from: LogIndex;
    readonly maxBytes: number;
  },
): Promise<readonly Entry[]> {
  const { base, last, from, maxBytes } = what;
  const entries: Entry[] = [];
  let at: ChainedPosition | undefined = from - 1 === base.index ? base : undefined;
  let bytes = 0;
  const range = { from: entryKey(at === undefined ? from - 1 : from), before: entryKey(last.index + 1) };
  for await (const rows of level.rows(range, Math.min(maxBytes, 1 << 20))) {
    for (const { value } of rows) {
      const read = at === undefined ? decodeAlone(value, logIndex(from - 1)) : decodeEntry(value, at);
      if ("damage" in read) throw new Error(read.damage);
      at = read.at;
      if (read.entry.index < from) continue;
      bytes += read.entry.data.byteLength;
      if (entries.length > 0 && bytes > maxBytes) return entries;
      entries.push(read.entry);
    }
  }
  if (at?.chain !== last.chain) throw new Error(`entries after ${at?.index ?? from - 1} are missing`);
  return entries;
}

function claimAt(position: ChainedPosition): Claim {
  return { index: position.index, chain: position.chain };
}
