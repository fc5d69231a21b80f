/**
 * The one place where consensus meets the world.
 *
 *   frames, timers, proposals, reads ──► step ──► pending writes ──► one sync ──► messagesAfterSync
 *                                         │                            └──► log-persisted ──► step
 *                                         ├──► messages (promise nothing about the disk: leave at once)
 *                                         └──► committed, reads, leadership ──► DriverEvents
 *
 * Whatever is stepped while a sync is under way is written by the next one: that is the group commit.
 */
import type { Clock } from "../base/clock.ts";
import type { LogIndex, NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type {
  ConsensusCore,
  Effects,
  Entry,
  Envelope,
  HardState,
  Input,
  Leadership,
  LogPosition,
} from "../raft/types.ts";
import type { LogStore } from "../storage/types.ts";
import { depthOf, type QueueDepth } from "./queue-depth.ts";

/** What consensus decides, for those who act on it. All are called synchronously, in order. */
export interface DriverEvents {
  committed(entries: readonly Entry[]): void;
  readsConfirmed(reads: Effects["confirmedReads"]): void;
  readsRefused(positions: readonly number[]): void;
  leadership(change: Leadership): void;
  snapshotNeeded(need: NonNullable<Effects["snapshotNeeded"]>): void;
}

export interface DriverOptions {
  readonly core: ConsensusCore;
  readonly log: LogStore;
  readonly clock: Clock;
  readonly send: (envelope: Envelope) => void;
  readonly events: DriverEvents;
  /** Called once with the first storage error or bug; nothing is promised to anybody afterwards. */
  readonly onFatal: (error: unknown) => void;
  /** Set while committed entries wait that the catalog cannot take yet: no more are written until it resolves. */
  readonly room: () => Promise<void> | undefined;
  /** Told of each write of the log that was synced: how long it took, and of how many entries. */
  readonly onSynced: (durationMs: number, entries: number) => void;
  /** False only to measure what batching brings: every write alone, with a sync of its own. */
  readonly batching: boolean;
}

/** What one sync makes durable, and what may leave after it. */
interface Batch {
  readonly resetLog: LogPosition | undefined;
  hardState: HardState | undefined;
  readonly append: Entry[];
  readonly messages: Envelope[];
}

/** What a step answers whoever asked for it. */
export type Refusals = Pick<Effects, "refusedProposals" | "refusedMembership">;
const tooMuchUnwritten: Refusals = { refusedProposals: "too-many-uncommitted", refusedMembership: undefined };
const notLeading: Refusals = { refusedProposals: "not-leader", refusedMembership: "not-leader" };

const maxBatchEntries = 4096;
/** Beyond this many bytes that wait for this node's own disk, no proposals are taken, however fast the other disks are. */
const maxUnwrittenBytes = 64 << 20;

/** Steps the core, makes its effects durable, and lets out what they allow, in that order. */
export class ConsensusDriver {
  readonly #options: DriverOptions;
  readonly #core: ConsensusCore;
  #pending: Batch[] = [];
  #unwritten: QueueDepth = { count: 0, sizeBytes: 0 };
  readonly #jobs: (() => Promise<void>)[] = [];
  #writing: Promise<void> | undefined;
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined;
  #stopped = false;
  #failed = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#core = options.core;
  }

  /** Begins to tick; before this nothing happens by itself. */
  start(): void {
    this.#arm();
  }

  get core(): Pick<ConsensusCore, "status"> {
    return this.#core;
  }

  /** Entries that are not written to the log yet. */
  get unwritten(): QueueDepth {
    return this.#unwritten;
  }

  /** Gives the core one input and carries out what follows. Does nothing once stopped. */
  step(input: Input): Refusals {
    if (this.#stopped) return notLeading;
    if (input.type === "propose" && this.#unwritten.sizeBytes >= maxUnwrittenBytes) return tooMuchUnwritten;
    try {
      const effects = this.#core.step(this.#options.clock.monotonicMs(), input);
      this.#carryOut(effects);
      return effects;
    } catch (error) {
      this.#fail(error);
      return notLeading;
    }
  }

  /** Trims the log on disk and then in the core. `through` must be durable in the catalog. */
  trim(through: LogPosition): Promise<void> {
    return this.#enqueueJob(async () => {
      await this.#options.log.trim(through);
      this.step({ type: "trimmed", through: through.index });
    });
  }

  /** Tells the log store that lost promises were refilled from peers. */
  promisesRefilled(): Promise<void> {
    return this.#enqueueJob(() => this.#options.log.promisesRefilled());
  }

  /** Falls silent; resolves when the write under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#writing;
  }

  #carryOut(effects: Effects): void {
    // Writes are queued before anybody hears of the step: an event may step again, and its writes must come after.
    if (
      effects.hardState !== undefined ||
      effects.append.length > 0 ||
      effects.messagesAfterSync.length > 0 ||
      effects.resetLog !== undefined
    ) {
      this.#pending.push({
        resetLog: effects.resetLog,
        hardState: effects.hardState,
        append: [...effects.append],
        messages: [...effects.messagesAfterSync],
      });
      this.#countUnwritten(effects.append, 1);
      this.#write();
    }
    for (const envelope of effects.messages) this.#options.send(envelope);
    const { events } = this.#options;
    if (effects.committed.length > 0) events.committed(effects.committed);
    for (const load of effects.loads) this.#load(load);
    if (effects.confirmedReads.length > 0) events.readsConfirmed(effects.confirmedReads);
    if (effects.snapshotNeeded !== undefined) events.snapshotNeeded(effects.snapshotNeeded);
    if (effects.leadership !== undefined) events.leadership(effects.leadership);
    if (effects.refusedReads.length > 0) events.readsRefused(effects.refusedReads);
    this.#arm();
  }

  #load({ to, from, maxBytes }: { to: NodeId; from: LogIndex; maxBytes: number }): void {
    this.#options.log.read(from, maxBytes).then(
      (entries) => this.step({ type: "entries-loaded", to, entries }),
      (error: unknown) => {
        // Once stopped, the log may be closed under a read that nobody waits for.
        if (!this.#stopped) this.#fail(error);
      },
    );
  }

  #enqueueJob(job: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      this.#jobs.push(async () => {
        await job();
        resolve();
      });
      this.#write();
    });
  }

  #write(): void {
    if (this.#writing !== undefined || this.#stopped) return;
    this.#writing = this.#writeAll().then(
      () => {
        this.#writing = undefined;
        // What was queued after the last look, and before this, found a write under way and waits.
        if (this.#jobs.length > 0 || this.#pending.length > 0) this.#write();
      },
      (error: unknown) => {
        this.#writing = undefined;
        this.#fail(error);
      },
    );
  }

  async #writeAll(): Promise<void> {
    while (!this.#stopped) {
      const job = this.#jobs.shift();
      if (job !== undefined) {
        await job();
        continue;
      }
      const batch = this.#takeBatch();
      if (batch === undefined) return;
      await this.#persist(batch);
    }
  }

  async #persist(batch: Batch): Promise<void> {
    if (batch.resetLog !== undefined) await this.#options.log.reset(batch.resetLog);
    if (batch.hardState !== undefined || batch.append.length > 0) {
      const { clock, log, onSynced, room } = this.#options;
      const hasRoom = batch.append.length > 0 ? room() : undefined;
      if (hasRoom !== undefined) await hasRoom;
      if (this.#stopped) return;
      const beganMs = clock.monotonicMs();
      await log.persist({ hardState: batch.hardState, append: batch.append });
      this.#countUnwritten(batch.append, -1);
      onSynced(clock.monotonicMs() - beganMs, batch.append.length);
    }
    if (this.#stopped) return;
    for (const envelope of batch.messages) this.#options.send(envelope);
    const last = batch.append.at(-1);
    if (last !== undefined) this.step({ type: "log-persisted", last: { index: last.index, term: last.term } });
  }

  #countUnwritten(entries: readonly Entry[], sign: 1 | -1): void {
    const { count, sizeBytes } = depthOf(entries);
    const before = this.#unwritten;
    this.#unwritten = { count: before.count + sign * count, sizeBytes: before.sizeBytes + sign * sizeBytes };
  }

  /** Merges what waits into one sync, but never across a rewrite: entries that were acknowledged must have been written. */
  #takeBatch(): Batch | undefined {
    const batch = this.#pending.shift();
    if (batch === undefined || !this.#options.batching) return batch;
    for (;;) {
      const next = this.#pending[0];
      if (next === undefined || next.resetLog !== undefined || batch.append.length >= maxBatchEntries) return batch;
      const [last, first] = [batch.append.at(-1), next.append[0]];
      if (last !== undefined && first !== undefined) {
        if (first.index <= last.index) return batch;
        invariant(first.index === last.index + 1, () => `append of ${first.index} after ${last.index}`);
      }
      this.#pending.shift();
      batch.hardState = next.hardState ?? batch.hardState;
      batch.append.push(...next.append);
      batch.messages.push(...next.messages);
    }
  }

  /** Keeps one timer; a later deadline lets the earlier timer fire and look again, which is cheaper than replacing it. */
  #arm(): void {
    const { clock } = this.#options;
    const atMs = this.#core.deadlineMs;
    if (this.#stopped || (this.#timer !== undefined && this.#timer.atMs <= atMs)) return;
    this.#timer?.cancel();
    if (atMs === Number.POSITIVE_INFINITY) {
      this.#timer = undefined;
      return;
    }
    const cancel = clock.after(Math.max(0, Math.ceil(atMs - clock.monotonicMs())), () => {
      this.#timer = undefined;
      if (clock.monotonicMs() >= this.#core.deadlineMs) this.step({ type: "tick" });
      else this.#arm();
    });
    this.#timer = { atMs, cancel };
  }

  /** A write that fails while this node stops is told as well: what was promised before may not be on disk. */
  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#stopped = true;
    this.#timer?.cancel();
    this.#options.onFatal(error);
  }
}
