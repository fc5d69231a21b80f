import { join } from "node:path";
import { type BlobId, parseBlobId } from "../../base/ids.ts";
import { invariant } from "../../base/invariant.ts";
import type { StorageDisk } from "../disk.ts";
import type { FailStop } from "../fail-stop.ts";
import type { BlobMetrics } from "./blob-metrics.ts";
import { plainBytes } from "./format.ts";
import { inParallel } from "./parallel.ts";
import { guardUnpromised } from "./unpromised.ts";

/** A stage whose bytes are synced, ready to become visible. */
export interface SealedStage {
  readonly blobId: BlobId;
  readonly stagePath: string;
  readonly sizeBytes: number;
}

export interface ShelfOptions {
  readonly path: string;
  /** The open directory that this one lies in. */
  readonly parent: number;
  readonly disk: StorageDisk;
  readonly failStop: FailStop;
  readonly metrics: BlobMetrics;
  /** False: every change is synced by itself. */
  readonly batching: boolean;
}

interface Turn {
  readonly work: () => Promise<void>;
  readonly changesNames: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One directory of visible blobs: the only place where names appear and disappear in it.
 *
 *   publish ─┐
 *   remove  ─┼─► waiting ──► one round: every change in order ──► one sync of the directory ──► all resolve
 *   count   ─┘
 *
 * Changes that arrive during a round wait for the next and share its sync. Because the rounds are one after the other, the
 * count of files and bytes is exact: it is taken in a round of its own and then kept.
 */
export class Shelf {
  readonly #options: ShelfOptions;
  /**
   * Undefined: no such directory yet. Held open for the life of the store: an error of the background writeback is
   * reported only to descriptors that were open when it happened, and a sync must never fail for want of a descriptor.
   */
  #directory: number | undefined;
  #preparing: Promise<void> | undefined;
  #waiting: Turn[] = [];
  #running = false;
  #rounds: Promise<void> = Promise.resolve();
  #counted = false;
  #files = 0;
  #bytes = 0;

  constructor(options: ShelfOptions) {
    this.#options = options;
  }

  /** Opens and syncs the directory that an earlier life of the store has made. */
  async openExisting(): Promise<void> {
    const { disk, path } = this.#options;
    this.#directory = await disk.open(path, "read");
    // Names that were changed but not synced when that life was killed are seen, and built upon, from now on.
    await disk.syncDirectory(this.#directory);
  }

  /**
   * Makes the directory, durably, unless it is there; before anything is staged for it.
   * @throws {DepositoError} `not-enough-space`
   */
  async prepare(): Promise<void> {
    if (this.#directory !== undefined) return;
    this.#preparing ??= this.#make().finally(() => {
      this.#preparing = undefined;
    });
    await this.#preparing;
  }

  pathOf(blobId: BlobId): string {
    return join(this.#options.path, blobId);
  }

  /** Makes sealed stages visible, replacing blobs of the same id; resolves once that is durable. */
  publish(stages: readonly SealedStage[]): Promise<void> {
    const { disk, failStop, metrics, path: shelfPath } = this.#options;
    invariant(this.#directory !== undefined, () => `${shelfPath} was not prepared`);
    return this.#inRound(true, async () => {
      for (const stage of stages) {
        const path = this.pathOf(stage.blobId);
        const replaced = this.#counted ? await failStop.guard("looking at a blob", () => disk.sizeAt(path)) : undefined;
        await failStop.guard("renaming a stage", () => disk.rename(stage.stagePath, path));
        if (this.#counted) this.#account(replaced, stage.sizeBytes);
        metrics.commits.inc();
      }
    });
  }

  /** Resolves once every name that can be seen now is durable. */
  settled(): Promise<void> {
    return this.#inRound(false, async () => undefined);
  }

  /** Removes blobs; resolves once that is durable, also for those that another call removed a moment ago. */
  async remove(blobIds: readonly BlobId[]): Promise<void> {
    const { disk, failStop } = this.#options;
    if (this.#directory === undefined) return;
    await this.#inRound(true, async () => {
      for (const blobId of blobIds) {
        const path = this.pathOf(blobId);
        const removed = this.#counted ? await failStop.guard("looking at a blob", () => disk.sizeAt(path)) : undefined;
        await failStop.guard("removing a blob", () => disk.unlink(path));
        if (this.#counted) this.#account(removed, undefined);
      }
    });
  }

  /** Counts what lies here; `usage` is exact from then on. */
  count(): Promise<void> {
    const { disk, failStop } = this.#options;
    return this.#inRound(false, async () => {
      const blobIds = await this.blobIds();
      const lengths = await failStop.guard("counting blobs", () =>
        inParallel(blobIds, 2, (blobId) => disk.sizeAt(this.pathOf(blobId))),
      );
      for (const length of lengths) if (length !== undefined) this.#account(undefined, plainBytes(length));
      this.#counted = true;
    });
  }

  /** Plain bytes and number of the blobs here, replaced and removed ones left out; nothing until they are counted. */
  usage(): { readonly files: number; readonly bytes: number } {
    return { files: this.#files, bytes: this.#bytes };
  }

  /** The visible blobs, in id order. Names that are no blob id are none of ours, and passed over. */
  async blobIds(): Promise<readonly BlobId[]> {
    const { disk, failStop, path } = this.#options;
    if (this.#directory === undefined) return [];
    const names = await guardUnpromised(failStop, "listing blobs", () => disk.names(path));
    return names
      .map(parseBlobId)
      .filter((blobId) => blobId !== undefined)
      .sort();
  }

  /** Resolves when every change begun is done. Nothing may be begun afterwards. */
  async close(): Promise<void> {
    await this.#rounds;
    if (this.#directory !== undefined) this.#options.disk.close(this.#directory);
  }

  async #make(): Promise<void> {
    const { disk, failStop, path, parent } = this.#options;
    await guardUnpromised(failStop, "making a directory", () => disk.makeDirectory(path));
    await failStop.guard("syncing a directory", () => disk.syncDirectory(parent));
    this.#directory = await guardUnpromised(failStop, "opening a directory", () => disk.open(path, "read"));
  }

  #account(oldFileLength: number | undefined, newSizeBytes: number | undefined): void {
    if (oldFileLength !== undefined) {
      this.#files -= 1;
      this.#bytes -= plainBytes(oldFileLength);
    }
    if (newSizeBytes !== undefined) {
      this.#files += 1;
      this.#bytes += newSizeBytes;
    }
  }

  #inRound(changesNames: boolean, work: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ work, changesNames, resolve, reject });
      if (this.#running) return;
      this.#running = true;
      this.#rounds = this.#runRounds();
    });
  }

  async #runRounds(): Promise<void> {
    const { failStop, batching } = this.#options;
    while (this.#waiting.length > 0) {
      const round = this.#waiting.splice(0, batching ? this.#waiting.length : 1);
      try {
        failStop.check();
        for (const turn of round) await turn.work();
        if (round.some((turn) => turn.changesNames)) await this.#sync();
        for (const turn of round) turn.resolve();
      } catch (error) {
        for (const turn of round) turn.reject(error);
      }
    }
    this.#running = false;
  }

  async #sync(): Promise<void> {
    const { disk, failStop, metrics } = this.#options;
    const directory = this.#directory;
    invariant(directory !== undefined, () => `${this.#options.path} is not there, and its names have changed`);
    await failStop.guard("syncing a directory", () => disk.syncDirectory(directory));
    metrics.directorySyncs.inc();
  }
}
