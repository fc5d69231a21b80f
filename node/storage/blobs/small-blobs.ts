import { hash } from "node:crypto";
import { hasCode } from "../../base/errors.ts";
import type { BlobId, Staged } from "../../base/ids.ts";
import type { BlobFacts } from "../../catalog/types.ts";
import type { StorageDisk } from "../disk.ts";
import type { FailStop } from "../fail-stop.ts";
import type { StoredBlob } from "../types.ts";
import type { BlobMetrics } from "./blob-metrics.ts";
import { BlockTable, encodeHeader } from "./format.ts";
import { inParallel } from "./parallel.ts";
import type { SealedStage } from "./shelf.ts";
import type { Shelves } from "./shelves.ts";
import { guardUnpromised } from "./unpromised.ts";

export interface SmallBlobsOptions {
  readonly shelves: Shelves;
  readonly disk: StorageDisk;
  readonly failStop: FailStop;
  readonly metrics: BlobMetrics;
  readonly newStagePath: (blobId: BlobId) => string;
  readonly nextStaged: () => Staged;
}

/** Written and synced at the same time; libuv's thread pool may allow fewer. */
const parallelStages = 32;

/**
 * Stores many small blobs together: all stages written and synced side by side, then all renamed, then each directory
 * synced once. Resolves after the last sync.
 */
export class SmallBlobs {
  readonly #options: SmallBlobsOptions;

  constructor(options: SmallBlobsOptions) {
    this.#options = options;
  }

  /** @throws {DepositoError} `not-enough-space`: then none of them is kept. */
  async store(
    blobs: readonly { readonly facts: BlobFacts; readonly bytes: Uint8Array }[],
  ): Promise<readonly (StoredBlob | { readonly failed: "digest-mismatch" })[]> {
    const { shelves, nextStaged } = this.#options;
    const stages: SealedStage[] = [];
    try {
      const results = await inParallel(blobs, parallelStages, async ({ facts, bytes }) => {
        if (bytes.length !== facts.sizeBytes || hash("sha256", bytes, "hex") !== facts.sha256)
          return { failed: "digest-mismatch" } as const;
        const blob: StoredBlob = { ...facts, staged: nextStaged() };
        stages.push(await this.#seal(blob, bytes));
        return blob;
      });
      await shelves.publish(stages);
      return results;
    } catch (error) {
      if (!hasCode(error, "storage-failed")) for (const { stagePath } of stages) await this.#removeStage(stagePath);
      throw error;
    }
  }

  /** Writes the whole file of a small blob into a stage and syncs it. */
  async #seal(blob: StoredBlob, bytes: Uint8Array): Promise<SealedStage> {
    const { shelves, disk, failStop, metrics, newStagePath } = this.#options;
    const { blobId, sizeBytes } = blob;
    const blockTable = new BlockTable(blobId);
    blockTable.add(bytes);
    const { table, tableCrc } = blockTable.finish();
    const file = [encodeHeader({ blob, tableCrc }), bytes, table];
    const stagePath = newStagePath(blobId);
    await shelves.of(blobId).prepare();
    const fd = await guardUnpromised(failStop, "making a stage", () => disk.create(stagePath));
    try {
      await guardUnpromised(failStop, "writing a stage", () => disk.write(fd, file, 0));
      await failStop.guard("syncing a stage", () => disk.syncFile(fd));
      metrics.fileSyncs.inc();
    } catch (error) {
      if (!hasCode(error, "storage-failed")) await this.#removeStage(stagePath);
      throw error;
    } finally {
      disk.close(fd);
    }
    return { blobId, stagePath, sizeBytes };
  }

  async #removeStage(path: string): Promise<void> {
    const { disk, failStop } = this.#options;
    await failStop.guard("removing a stage", () => disk.unlink(path));
  }
}
