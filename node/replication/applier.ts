import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { CommandId, LogIndex } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { applyEntries, type CatalogMeta, readMeta } from "../catalog/apply.ts";
import type { HolderRow, MemberRecord, Outcome } from "../catalog/types.ts";
import type { Entry, LogPosition } from "../raft/types.ts";
import type { CatalogStore } from "../storage/types.ts";
import { type ApplyLimits, ApplyQueue } from "./apply-queue.ts";
import type { Checkpoints } from "./checkpoints.ts";
import type { LogRetention } from "./log-retention.ts";
import { depthOf, type QueueDepth } from "./queue-depth.ts";
import type { PulledSnapshot } from "./snapshot-install.ts";

/** What one apply brought about, told after the catalog shows it. */
export interface AppliedBatch {
  readonly applied: LogIndex;
  readonly results: readonly { readonly id: CommandId; readonly outcome: Outcome }[];
  readonly ownerRows: readonly HolderRow[];
  /** The members, when this apply changed them. */
  readonly members: readonly MemberRecord[] | undefined;
  /** Whether this apply brought another configuration. */
  readonly configured: boolean;
}

export interface ApplierOptions extends ApplyLimits {
  readonly clock: Clock;
  readonly catalog: CatalogStore;
  readonly checkpoints: Checkpoints;
  readonly onApplied: (batch: AppliedBatch) => void;
  /** How long it took to decide and to write so many entries. */
  readonly onWritten: (durationMs: number, entries: number) => void;
  /** Another catalog took the place of the former; nothing was applied to it yet. */
  readonly onReplaced: (meta: CatalogMeta) => void;
  readonly retention: LogRetention;
  /** The catalog is durable, and the log is to be trimmed up to here. */
  readonly onTrimmable: (through: LogPosition) => void;
  readonly onFatal: (error: unknown) => void;
  /** The catalog is synced, and the log trimmed, after this many entries. */
  readonly syncEveryEntries: number;
}

/** Applies committed entries to the catalog on disk, in order, many at a time; the catalog's only writer. */
export class Applier {
  readonly #options: ApplierOptions;
  #catalog: CatalogStore | undefined;
  #meta: CatalogMeta;
  readonly #queue: ApplyQueue;
  #running: Promise<void> | undefined;
  #stopped = false;
  #syncedIndex: LogIndex;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#queue = new ApplyQueue(options);
    this.#catalog = options.catalog;
    this.#meta = readMeta(options.catalog);
    this.#syncedIndex = this.#meta.applied.index;
  }

  get meta(): CatalogMeta {
    return this.#meta;
  }

  /** Whether a snapshot is being put in place, so that there is no catalog to read. */
  get isReplacing(): boolean {
    return this.#catalog === undefined;
  }

  /** @throws {DepositoError} `no-quorum` while a snapshot is being put in place. */
  get catalog(): CatalogStore {
    if (this.#catalog !== undefined) return this.#catalog;
    throw new DepositoError("no-quorum", "this node is being installed anew from a peer; ask another node");
  }

  /** What is committed and waits to be applied. */
  get queued(): QueueDepth {
    return this.#queue.depth;
  }

  /** Set while too much waits already: resolves once there is room for more, or this is stopped. */
  get room(): Promise<void> | undefined {
    return this.#stopped ? undefined : this.#queue.room;
  }

  enqueue(entries: readonly Entry[]): void {
    this.#queue.push(entries);
    this.#run();
  }

  /**
   * Puts a pulled catalog in the place of this one, with no apply under way meanwhile; entries it covers are skipped.
   * Does without it where the log has brought this catalog as far in the meantime.
   */
  async replaceCatalog(pulled: PulledSnapshot): Promise<void> {
    const former = this.catalog;
    this.#catalog = undefined;
    await this.#running;
    if (this.#stopped || pulled.meta.applied.index <= this.#meta.applied.index) {
      await pulled.cancel();
      this.#catalog = former;
      this.#run();
      return;
    }
    const catalog = await pulled.complete();
    const meta = readMeta(catalog);
    invariant(
      meta.applied.index === pulled.meta.applied.index,
      () => `snapshot at ${meta.applied.index}, ${pulled.meta.applied.index} was pulled`,
    );
    this.#meta = meta;
    this.#queue.dropThrough(meta.applied.index);
    this.#syncedIndex = meta.applied.index;
    this.#options.retention.replaced();
    this.#catalog = catalog;
    // At once: until the core knows of it, it would hand out entries that the snapshot covers.
    this.#options.onReplaced(meta);
    this.#run();
  }

  /** Resolves when the apply under way has ended; nothing is applied afterwards. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#queue.release();
    await this.#running;
  }

  #run(): void {
    if (this.#running !== undefined || this.#stopped || this.#catalog === undefined) return;
    this.#running = this.#applyAll().then(
      () => {
        this.#running = undefined;
        // What was queued after the last look, and before this, found an apply under way and waits.
        if (this.#queue.first !== undefined) this.#run();
      },
      (error: unknown) => {
        this.#running = undefined;
        this.#stopped = true;
        this.#queue.release();
        this.#options.onFatal(error);
      },
    );
  }

  async #applyAll(): Promise<void> {
    for (;;) {
      const catalog = this.#catalog;
      if (catalog === undefined || this.#stopped || this.#queue.first === undefined) return;
      const entries = this.#nextEntries();
      const beganMs = this.#options.clock.monotonicMs();
      const applied = applyEntries(catalog, this.#meta, entries);
      const sync = applied.meta.applied.index - this.#syncedIndex >= this.#options.syncEveryEntries;
      await catalog.write(applied.writes, { sync });
      this.#options.onWritten(this.#options.clock.monotonicMs() - beganMs, entries.length);
      this.#meta = applied.meta;
      this.#options.checkpoints.record(this.#meta);
      this.#options.onApplied({
        applied: this.#meta.applied.index,
        results: applied.results,
        ownerRows: applied.ownerRows,
        members: applied.members,
        configured: applied.configured,
      });
      this.#noteTrimmable(entries, sync);
    }
  }

  /** Never across a checkpoint, so that every node has a digest at exactly the same indexes. */
  #nextEntries(): readonly Entry[] {
    const next = this.#meta.applied.index + 1;
    const { first } = this.#queue;
    invariant(first?.index === next, () => `apply of ${first?.index} where ${next} is due`);
    const count = this.#options.checkpoints.nextAfter(this.#meta.applied.index) - this.#meta.applied.index;
    return this.#queue.take(count);
  }

  #noteTrimmable(entries: readonly Entry[], synced: boolean): void {
    const { retention, onTrimmable } = this.#options;
    const { applied } = this.#meta;
    retention.applied(applied, depthOf(entries).sizeBytes);
    if (!synced) return;
    this.#syncedIndex = applied.index;
    const through = retention.trimThrough(applied.index);
    if (through !== undefined) onTrimmable(through);
  }
}
