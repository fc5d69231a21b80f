/**
 * How a node makes its disk agree with the catalog. Every row of the holder table with this node's name says what the
 * node shall do, and the node says in the log what it did:
 *
 *   deposit, edit ──► missing ──pull, verify, sync──► report "made" ──► present
 *                        ▲                                                │ a reader finds it damaged or gone:
 *                        └──────────── report "lost", then delete ◄───────┘
 *   replace, remove, edit ──► doomed ──delete──► report "dropped" ──► no row
 *
 * Rows are looked at when they change, and all of them from time to time, in case a change was not seen. What a row says
 * is read again right before it is acted on, and a blob is pulled or deleted, never both at once.
 */
import { DepositoError, hasCode } from "../base/errors.ts";
import type { BlobId } from "../base/ids.ts";
import { readFile, readHolder } from "../catalog/tables.ts";
import type { HolderRow } from "../catalog/types.ts";
import { ByteRate } from "./byte-rate.ts";
import { DoomedReplicas } from "./doomed-replicas.ts";
import { HolderScan } from "./holder-scan.ts";
import { KeyedQueue } from "./keyed-queue.ts";
import type { DepotOptions } from "./options.ts";
import { ReplicaAudit } from "./replica-audit.ts";
import { ReplicaReports } from "./replica-reports.ts";
import { sourcesOf } from "./sources.ts";
import type { LostReplica } from "./types.ts";

const pullsAtOnce = 4;
const maxWaitingPulls = 8192;
const firstRetryMs = 250;
const maxRetryMs = 8000;

/** Looks after the replicas of one node, from `start` to `close`. */
export class Reconciler {
  readonly #options: DepotOptions;
  readonly #reports: ReplicaReports;
  readonly #rate: ByteRate;
  readonly #pulls: KeyedQueue<BlobId>;
  readonly #doomed: DoomedReplicas;
  readonly #scan: HolderScan;
  /** Failed attempts in a row to mend a replica. */
  readonly #failures = new Map<BlobId, number>();
  readonly #lost = new Map<BlobId, LostReplica["how"]>();
  readonly #audit: ReplicaAudit | undefined;
  #stopListening: (() => void) | undefined;

  constructor(options: DepotOptions) {
    const { clock, onFatal, repair } = options;
    this.#options = options;
    this.#reports = new ReplicaReports(options);
    this.#rate = new ByteRate(clock, repair.maxMiBPerSecond);
    const work = (blobId: BlobId) => this.#mend(blobId);
    this.#pulls = new KeyedQueue({ clock, width: pullsAtOnce, maxWaiting: maxWaitingPulls, work, onFatal });
    this.#doomed = new DoomedReplicas(options, {
      reports: this.#reports,
      isBusy: (blobId) => this.#pulls.isRunning(blobId),
      look: (blobId) => this.#look(blobId),
    });
    this.#scan = new HolderScan(options, (row) => this.#note(row));
    const { onReplicasCompared: onDone } = options;
    this.#audit =
      onDone &&
      new ReplicaAudit({
        ...options,
        reportGone: (blobId) => this.#reports.add({ type: "lost", blobId }),
        reportDamaged: (blobId) => this.reportLost({ blobId, how: "damaged" }),
        onDone,
      });
  }

  start(): void {
    this.#stopListening = this.#options.replication.onOwnHolderRows((rows) => {
      if (rows.length === 0) this.#scan.soon();
      for (const row of rows) if (!this.#note(row)) this.#scan.soon();
    });
    this.#scan.start();
    this.#audit?.start();
  }

  /** Starts nothing new; resolves when pulls and removals under way have ended. */
  async close(): Promise<void> {
    this.#stopListening?.();
    this.#rate.close();
    const audited = this.#audit?.close();
    this.#reports.close();
    await Promise.all([audited, this.#scan.close(), this.#pulls.close(), this.#doomed.close()]);
  }

  /** A replica of this node turned out damaged or gone: another holder's takes its place. */
  reportLost({ blobId, how }: LostReplica): void {
    this.#lost.set(blobId, how);
    if (!this.#pulls.add(blobId)) this.#lost.delete(blobId); // the next reader finds it again
  }

  /** False when too much waits already, and the row must be looked at later. */
  #note(row: HolderRow): boolean {
    switch (row.state) {
      case "present":
        return true;
      case "missing":
        return this.#pulls.add(row.blob.blobId);
      case "doomed":
        return this.#doomed.add(row.blob.blobId);
    }
  }

  #look(blobId: BlobId): void {
    try {
      const row = this.#row(blobId);
      if (row !== undefined && !this.#note(row)) this.#scan.soon();
    } catch (error) {
      if (!(error instanceof DepositoError)) throw error;
      this.#scan.soon(); // there is no catalog while one is being installed
    }
  }

  #row(blobId: BlobId): HolderRow | undefined {
    return readHolder(this.#options.replication.catalog, this.#options.self, blobId);
  }

  /** Brings one replica nearer to what its row says; answers when to try again. */
  async #mend(blobId: BlobId): Promise<number | undefined> {
    if (this.#doomed.isDropping(blobId)) return undefined; // looks at the row again when that has ended
    try {
      const lost = this.#lost.get(blobId);
      if (lost !== undefined && this.#row(blobId)?.state === "present") await this.#giveUpOwn(blobId, lost);
      this.#lost.delete(blobId);
      if (this.#row(blobId)?.state === "missing") await this.#make(blobId);
      this.#failures.delete(blobId);
      if (this.#row(blobId)?.state === "doomed") this.#look(blobId);
      return undefined;
    } catch (error) {
      if (!(error instanceof DepositoError) && !isAbort(error)) throw error;
      const failures = (this.#failures.get(blobId) ?? 0) + 1;
      this.#failures.set(blobId, failures);
      this.#options.logger.info({ blob: blobId, failures, err: error }, "a replica could not be mended yet");
      return Math.min(firstRetryMs * 2 ** (failures - 1), maxRetryMs);
    }
  }

  /** Pulls a missing replica from one present holder, another one after each failure. */
  async #make(blobId: BlobId): Promise<void> {
    const { self, replication, holder } = this.#options;
    const wanted = this.#row(blobId);
    if (wanted?.state !== "missing" || !(await this.#rate.take(wanted.blob.sizeBytes))) return;
    // The turn may have come late: only what the catalog says now counts.
    const record = readFile(replication.catalog, wanted.clientId, wanted.name);
    if (this.#row(blobId)?.state !== "missing" || record?.blob.blobId !== blobId) return;
    const sources = sourcesOf(this.#options, record).filter((node) => node !== self);
    const source = sources[(this.#failures.get(blobId) ?? 0) % sources.length];
    if (source === undefined) throw new DepositoError("not-enough-nodes", "no other node has this replica");
    const staged = await holder.pull(source, wanted.blob);
    await this.#reports.add({ type: "made", blobId, staged });
  }

  /** Reports first and deletes then, so that no record names as present what is being deleted. */
  async #giveUpOwn(blobId: BlobId, how: LostReplica["how"]): Promise<void> {
    const { self, replication, holder, logger } = this.#options;
    if (how === "gone" && (await this.#isHere(blobId))) return;
    const row = this.#row(blobId);
    const record = row && readFile(replication.catalog, row.clientId, row.name);
    if (row?.state !== "present" || record?.blob.blobId !== blobId) return;
    const isLast = !record.holders.some(({ node, state }) => node !== self && state === "present");
    // The last one too: a record that called it present would answer a new deposit of the same bytes with "unchanged".
    await this.#reports.add({ type: "lost", blobId });
    if (how === "damaged" && isLast) {
      logger.error({ blob: blobId }, "the last replica is damaged; it is kept for what can still be read of it");
      return;
    }
    await holder.discard([blobId]);
    logger.warn({ blob: blobId, how }, "a replica was lost; another is made from a peer");
  }

  async #isHere(blobId: BlobId): Promise<boolean> {
    try {
      for await (const _ of await this.#options.holder.read(blobId, { start: 0, end: 0 })) break;
      return true;
    } catch (error) {
      if (hasCode(error, "blob-not-found")) return false;
      throw error;
    }
  }
}

/** The holder is closing. */
function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
