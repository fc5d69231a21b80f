import { pause } from "../base/aborting.ts";
import { DepositoError, hasCode } from "../base/errors.ts";
import { holderRange } from "../catalog/keys.ts";
import { holderOfRow } from "../catalog/tables.ts";
import type { HolderRow } from "../catalog/types.ts";
import { ByteRate } from "./byte-rate.ts";
import type { DepotOptions } from "./options.ts";
import type { LostReplica } from "./types.ts";

const rowsAtOnce = 256;
const readsAtOnce = 8;
const retryMs = 5000;

export interface ReplicaAuditOptions
  extends Pick<DepotOptions, "self" | "replication" | "holder" | "clock" | "logger" | "repair" | "onFatal"> {
  /** Puts into the log that a replica is not there; resolves once the catalog says so. */
  readonly reportGone: (blobId: LostReplica["blobId"]) => Promise<void>;
  readonly reportDamaged: (blobId: LostReplica["blobId"]) => void;
  /** Everything was compared; not asked for again after a restart. */
  readonly onDone: () => Promise<void>;
}

/**
 * Compares the replicas that the catalog says this node has with what lies on its disk. Catalog and disk are made together,
 * so this is needed only once the catalog came from a backup: first for what is not there at all, so that others make
 * it soon, then byte by byte, no faster than repair may read.
 */
export class ReplicaAudit {
  readonly #options: ReplicaAuditOptions;
  readonly #rate: ByteRate;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: ReplicaAuditOptions) {
    this.#options = options;
    this.#rate = new ByteRate(options.clock, options.repair.maxMiBPerSecond);
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) this.#options.onFatal(error);
    });
  }

  async close(): Promise<void> {
    this.#stopping.abort(new DepositoError("no-quorum", "this node is stopping"));
    this.#rate.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger, onDone } = this.#options;
    const { signal } = this.#stopping;
    for (;;) {
      try {
        const { compared, gone } = await this.#eachPresent((row) => this.#look(row));
        logger.info({ compared, gone }, "looked for every replica that the backup says is here");
        const { gone: damaged } = await this.#eachPresent((row) => this.#readWhole(row));
        logger.info({ compared, damaged }, "read every replica that the backup says is here");
        return await onDone();
      } catch (error) {
        if (signal.aborted || !(error instanceof DepositoError)) throw error;
        logger.info({ err: error }, "the replicas could not be compared to the end; it is begun anew");
      }
      await pause(clock, retryMs, signal);
    }
  }

  /** Hands every present replica of this node to `isSound`, a few at a time. */
  async #eachPresent(
    isSound: (row: HolderRow) => Promise<boolean>,
  ): Promise<{ readonly compared: number; readonly gone: number }> {
    const { self, replication } = this.#options;
    let [compared, gone] = [0, 0];
    for (let bounds = holderRange(self, undefined); ; ) {
      const rows = (await replication.catalog.range({ ...bounds, limit: rowsAtOnce })).map(holderOfRow);
      const present = rows.filter(({ state }) => state === "present");
      for (let at = 0; at < present.length; at += readsAtOnce) {
        const some = present.slice(at, at + readsAtOnce);
        for (const sound of await Promise.all(some.map(isSound))) if (!sound) gone += 1;
        this.#stopping.signal.throwIfAborted();
      }
      compared += present.length;
      const last = rows.at(-1);
      if (last === undefined || rows.length < rowsAtOnce) return { compared, gone };
      bounds = holderRange(self, last.blob.blobId);
    }
  }

  async #look({ blob: { blobId } }: HolderRow): Promise<boolean> {
    if ((await this.#read(blobId, 0)) !== "gone") return true;
    await this.#options.reportGone(blobId);
    return false;
  }

  async #readWhole({ blob: { blobId, sizeBytes } }: HolderRow): Promise<boolean> {
    await this.#rate.take(sizeBytes);
    const found = await this.#read(blobId, sizeBytes);
    if (found === "gone") await this.#options.reportGone(blobId);
    if (found === "damaged") this.#options.reportDamaged(blobId);
    return found === "sound";
  }

  /** Reads the first bytes of a replica, each block against its checksum. */
  async #read(blobId: LostReplica["blobId"], sizeBytes: number): Promise<"sound" | LostReplica["how"]> {
    try {
      for await (const _ of await this.#options.holder.read(blobId, { start: 0, end: sizeBytes }))
        this.#stopping.signal.throwIfAborted();
      return "sound";
    } catch (error) {
      if (hasCode(error, "blob-not-found")) return "gone";
      if (hasCode(error, "blob-damaged") || hasCode(error, "range-not-satisfiable")) return "damaged";
      throw error;
    }
  }
}
