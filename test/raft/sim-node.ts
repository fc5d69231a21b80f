import { type LogIndex, logIndex, type NodeId, term } from "../../node/base/ids.ts";
import { decodeConfiguration } from "../../node/raft/configuration.ts";
import { Raft } from "../../node/raft/raft.ts";
import type {
  Configuration,
  Effects,
  Entry,
  Envelope,
  HardState,
  Input,
  LogPosition,
  RaftOptions,
} from "../../node/raft/types.ts";
import { at, runsOf } from "./support.ts";

/** What survives a crash. */
export interface Disk {
  hardState: HardState;
  base: LogPosition;
  entries: Entry[];
  /** The catalog: where it stands, and the configuration at that point. */
  applied: LogPosition;
  configuration: Configuration;
  /** The last index that may have been acknowledged, undefined where that is not known, and whether something up to it was lost. */
  promised: LogIndex | undefined;
  lostPromises: boolean;
}

/** What one step wrote, and what waits for it. */
export interface PendingWrite {
  readonly resetLog: LogPosition | undefined;
  readonly hardState: HardState | undefined;
  readonly append: readonly Entry[];
  readonly messages: readonly Envelope[];
}

export interface SimHooks {
  send(from: NodeId, envelope: Envelope): void;
  /** After every step, before its writes are synced. */
  stepped(node: SimNode, input: Input, effects: Effects): void;
  /** A write is on disk; before anything that waited for it leaves. */
  synced(node: SimNode, write: PendingWrite): void;
}

/**
 * One core with a disk that forgets what was not synced. Writes queue until `sync`; loads are answered at once from
 * what is synced; committed entries are applied at once, and durable there.
 */
export class SimNode {
  readonly id: NodeId;
  readonly disk: Disk;
  core: Raft | undefined;
  /** The log as this life of the core has written it, synced or not: entries after `memoryBase`. */
  memory: Entry[] = [];
  memoryBase: LogPosition = at(0, 0);
  snapshotNeeded: Effects["snapshotNeeded"];
  readonly confirmedReads: { readonly position: number; readonly readIndex: LogIndex }[] = [];
  readonly refusedReads: number[] = [];
  /** False: the state machine applies nothing until `apply`. */
  appliesAtOnce = true;
  readonly #hooks: SimHooks;
  readonly #settings: Partial<RaftOptions>;
  readonly #random: () => number;
  #writes: PendingWrite[] = [];
  #unapplied: Entry[] = [];
  #nowMs = 0;

  constructor(options: {
    readonly id: NodeId;
    readonly disk: Disk;
    readonly hooks: SimHooks;
    readonly settings: Partial<RaftOptions>;
    readonly random: () => number;
  }) {
    this.id = options.id;
    this.disk = options.disk;
    this.#hooks = options.hooks;
    this.#settings = options.settings;
    this.#random = options.random;
  }

  get alive(): Raft {
    if (this.core === undefined) throw new Error(`${this.id} is down`);
    return this.core;
  }

  get diskLast(): LogPosition {
    return this.disk.entries.at(-1) ?? this.disk.base;
  }

  start(nowMs: number): void {
    const { disk } = this;
    const isHeld = disk.applied.index >= disk.base.index && this.diskTermAt(disk.applied.index) === disk.applied.term;
    if (!isHeld) {
      disk.base = disk.applied;
      disk.entries = [];
    }
    this.memory = [...disk.entries];
    this.memoryBase = disk.base;
    this.#nowMs = nowMs;
    this.core = new Raft({
      electionTimeoutMs: 500,
      heartbeatMs: 50,
      maxAppendBytes: 256,
      maxInflightAppends: 4,
      maxUncommittedBytes: 1 << 20,
      maxCachedBytes: 256,
      ...this.#settings,
      id: this.id,
      hardState: disk.hardState,
      configuration: disk.configuration,
      logBase: disk.base,
      termRuns: runsOf(disk.entries),
      entries: disk.entries.filter(({ index }) => index > disk.applied.index),
      lastIndex: this.diskLast.index,
      applied: disk.applied.index,
      lostPromises: disk.lostPromises,
      promisedIndex: disk.promised,
      random: this.#random,
    });
  }

  /** The process dies: whatever was not synced is gone. */
  crash(): void {
    this.core = undefined;
    this.#writes = [];
    this.#unapplied = [];
    this.snapshotNeeded = undefined;
  }

  /** Crashes, and the end of the synced log is gone as well. */
  crashAndLose(count: number): void {
    this.crash();
    const lost = this.disk.entries.splice(Math.max(0, this.disk.entries.length - count));
    if (lost.length > 0) this.disk.lostPromises = true;
  }

  step(nowMs: number, input: Input): Effects {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const effects = this.alive.step(this.#nowMs, input);
    this.#remember(effects);
    this.#hooks.stepped(this, input, effects);
    const { resetLog, hardState, append, messagesAfterSync: messages } = effects;
    if (resetLog !== undefined || hardState !== undefined || append.length > 0 || messages.length > 0)
      this.#writes.push({ resetLog, hardState, append, messages });
    for (const envelope of effects.messages) this.#hooks.send(this.id, envelope);
    this.confirmedReads.push(...effects.confirmedReads);
    this.refusedReads.push(...effects.refusedReads);
    if (effects.snapshotNeeded !== undefined) this.snapshotNeeded = effects.snapshotNeeded;
    this.#unapplied.push(...effects.committed);
    if (this.appliesAtOnce) this.apply(Number.POSITIVE_INFINITY);
    for (const { to, from, maxBytes } of effects.loads) {
      const entries = this.#read(from, maxBytes);
      this.step(nowMs, { type: "entries-loaded", to, entries });
    }
    return effects;
  }

  /** Applies up to `count` of the committed entries. */
  apply(count: number): void {
    const entries = this.#unapplied.splice(0, count);
    const last = entries.at(-1);
    if (last === undefined) return;
    for (const { kind, data } of entries)
      if (kind === "configuration") this.disk.configuration = decodeConfiguration(data);
    this.disk.applied = at(last.index, last.term);
    this.step(this.#nowMs, { type: "applied", index: last.index });
  }

  /** Syncs the oldest pending write and lets go what waited for it; false when there was none. */
  sync(): boolean {
    const write = this.#writes.shift();
    if (write === undefined || this.core === undefined) return false;
    const { disk } = this;
    if (write.resetLog !== undefined) {
      disk.base = write.resetLog;
      disk.entries = [];
    }
    if (write.hardState !== undefined) disk.hardState = write.hardState;
    const [first, last] = [write.append[0], write.append.at(-1)];
    if (first !== undefined) {
      disk.entries = [...disk.entries.filter(({ index }) => index < first.index), ...write.append];
      const reached = this.diskLast.index;
      const claim = disk.lostPromises ? (disk.promised ?? 0) : 0;
      disk.promised = logIndex(Math.max(claim, reached));
    }
    this.#hooks.synced(this, write);
    for (const envelope of write.messages) this.#hooks.send(this.id, envelope);
    if (last !== undefined) this.step(this.#nowMs, { type: "log-persisted", last: at(last.index, last.term) });
    if (!this.alive.status().lostPromises) disk.lostPromises = false;
    return true;
  }

  /** Trims the log through what is applied; not while older writes wait, for a trim must not overtake a reset. */
  trim(through: LogIndex): void {
    const { disk } = this;
    if (this.#writes.length > 0) return;
    const ofTerm = this.diskTermAt(through);
    if (ofTerm === undefined || through <= disk.base.index || through > disk.applied.index) return;
    disk.base = at(through, ofTerm);
    disk.entries = disk.entries.filter(({ index }) => index > through);
    this.memory = this.memory.filter(({ index }) => index > through);
    this.memoryBase = disk.base;
    this.step(this.#nowMs, { type: "trimmed", through });
  }

  /** The catalog of `source`, whole and durable, takes the place of this one. */
  installSnapshotOf(source: SimNode): void {
    const { applied, configuration } = source.disk;
    this.snapshotNeeded = undefined;
    if (applied.index <= this.disk.applied.index || this.#unapplied.length > 0) return;
    this.disk.applied = applied;
    this.disk.configuration = configuration;
    this.step(this.#nowMs, { type: "snapshot-installed", position: applied, configuration });
  }

  /** The entry as this life of the core has it; undefined where it is trimmed or not there. */
  memoryAt(index: number): Entry | undefined {
    return this.memory[index - this.memoryBase.index - 1];
  }

  /** The first index that a write under way touches; Infinity when none does. */
  get writesFrom(): number {
    const firsts = this.#writes.map(({ resetLog, append }) => resetLog?.index ?? append[0]?.index ?? Infinity);
    return Math.min(Infinity, ...firsts);
  }

  /** Whether the entry is synced here, or was, and the core knows that it may be lost. */
  hasOnDisk({ index, term: ofTerm }: LogPosition): boolean {
    const { base, lostPromises, promised } = this.disk;
    if (lostPromises && index <= (promised ?? index)) return true;
    return index <= base.index || this.diskTermAt(index) === ofTerm;
  }

  diskTermAt(index: number): number | undefined {
    if (index === this.disk.base.index) return this.disk.base.term;
    return this.disk.entries[index - this.disk.base.index - 1]?.term;
  }

  #read(from: LogIndex, maxBytes: number): readonly Entry[] {
    const found = this.disk.entries.filter(({ index }) => index >= from);
    let [count, size] = [0, 0];
    for (const { data } of found) {
      size += data.byteLength + 32;
      if (count > 0 && size > maxBytes) break;
      count += 1;
    }
    return found.slice(0, count);
  }

  #remember({ resetLog, append }: Effects): void {
    if (resetLog !== undefined) {
      this.memoryBase = resetLog;
      this.memory = [];
    }
    const first = append[0];
    if (first !== undefined)
      this.memory = [...this.memory.slice(0, first.index - this.memoryBase.index - 1), ...append];
  }
}

/** An empty disk of a founded node. */
export function blankDisk(configuration: Configuration, terms: readonly Entry[] = []): Disk {
  const last = terms.at(-1);
  return {
    hardState: { term: term(last?.term ?? 0), votedFor: undefined },
    base: at(0, 0),
    entries: [...terms],
    applied: at(0, 0),
    configuration,
    promised: last?.index ?? logIndex(0),
    lostPromises: false,
  };
}
