import { DepositoError } from "../base/errors.ts";
import type { BlobId } from "../base/ids.ts";
import { readHolder } from "../catalog/tables.ts";
import type { DepotOptions } from "./options.ts";
import type { ReplicaReports } from "./replica-reports.ts";

/** Readers who saw the record right before it changed get this long to open their replica. */
const readersGraceMs = 2000;
const droppedAtOnce = 256;
const maxWaiting = 65_536;
const retryMs = 1000;

/** What a doomed replica is in the way of, and who looks after its blob next. */
export interface DoomedSurroundings {
  readonly reports: ReplicaReports;
  /** Something else is under way with this blob; whoever does it looks at the row when it has ended. */
  isBusy(blobId: BlobId): boolean;
  look(blobId: BlobId): void;
}

/** Deletes doomed replicas of one node, many at once, each a little after it was doomed, and reports them. */
export class DoomedReplicas {
  readonly #options: DepotOptions;
  readonly #around: DoomedSurroundings;
  /** Doomed blobs and when they are due, in that order. */
  readonly #dueMs = new Map<BlobId, number>();
  readonly #dropping = new Set<BlobId>();
  #cancelTimer: (() => void) | undefined;
  #underWay: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: DepotOptions, around: DoomedSurroundings) {
    this.#options = options;
    this.#around = around;
  }

  /** False when too many wait already. */
  add(blobId: BlobId): boolean {
    if (this.#isClosed || this.#dueMs.has(blobId)) return true;
    if (this.#dueMs.size >= maxWaiting) return false;
    this.#dueMs.set(blobId, this.#options.clock.monotonicMs() + readersGraceMs);
    this.#schedule();
    return true;
  }

  isDropping(blobId: BlobId): boolean {
    return this.#dropping.has(blobId);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    await this.#underWay;
  }

  #schedule(atLeastMs = 0): void {
    const [first] = this.#dueMs.values();
    if (first === undefined || this.#cancelTimer || this.#underWay || this.#isClosed) return;
    const delayMs = Math.max(first - this.#options.clock.monotonicMs(), atLeastMs);
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      this.#cancelTimer = undefined;
      this.#underWay = this.#dropDue().then(
        (againMs) => {
          this.#underWay = undefined;
          this.#schedule(againMs);
        },
        (error: unknown) => this.#options.onFatal(error),
      );
    });
  }

  /** Deletes one batch of what is due; answers how long to wait before the next. */
  async #dropDue(): Promise<number> {
    const blobIds = this.#takeDue();
    if (blobIds.length === 0) return 0;
    for (const blobId of blobIds) this.#dropping.add(blobId);
    try {
      await this.#options.holder.discard(blobIds);
      await Promise.all(blobIds.map((blobId) => this.#around.reports.add({ type: "dropped", blobId })));
      return 0;
    } catch (error) {
      if (!(error instanceof DepositoError)) throw error;
      this.#options.logger.info({ blobs: blobIds.length, err: error }, "doomed replicas could not be dropped yet");
      return retryMs;
    } finally {
      this.#dropping.clear();
      for (const blobId of blobIds) this.#around.look(blobId);
    }
  }

  #takeDue(): readonly BlobId[] {
    const nowMs = this.#options.clock.monotonicMs();
    const due: BlobId[] = [];
    for (const [blobId, dueMs] of this.#dueMs) {
      if (dueMs > nowMs || due.length >= droppedAtOnce) break;
      this.#dueMs.delete(blobId);
      if (this.#around.isBusy(blobId)) continue;
      if (this.#isDoomed(blobId)) due.push(blobId);
    }
    return due;
  }

  #isDoomed(blobId: BlobId): boolean {
    const { replication, self } = this.#options;
    try {
      return readHolder(replication.catalog, self, blobId)?.state === "doomed";
    } catch (error) {
      if (!(error instanceof DepositoError)) throw error;
      return false; // the catalog is being installed anew; all rows are looked at afterwards
    }
  }
}
