import { join } from "node:path";
import { DepositoError, hasCode } from "../../base/errors.ts";
import { type BlobId, type Staged, staged } from "../../base/ids.ts";
import { invariant } from "../../base/invariant.ts";
import type { Logger } from "../../base/logger.ts";
import type { Metrics } from "../../base/metrics.ts";
import type { BlobFacts } from "../../catalog/types.ts";
import type { StorageDisk } from "../disk.ts";
import { FailStop } from "../fail-stop.ts";
import { layoutOf } from "../layout.ts";
import type { BlobReader, BlobStore, BlobWriter, StoredBlob } from "../types.ts";
import { type BlobMetrics, createBlobMetrics, showUsage } from "./blob-metrics.ts";
import { type BlobFile, FileBlobReader, readHeader } from "./blob-reader.ts";
import { FileBlobWriter } from "./blob-writer.ts";
import { inParallel } from "./parallel.ts";
import { Shelves } from "./shelves.ts";
import { SmallBlobs } from "./small-blobs.ts";

export interface FileBlobStoreOptions {
  readonly dataDir: string;
  /** How often the data directory was opened: staged numbers start at boots × 2^30. */
  readonly boots: number;
  readonly disk: StorageDisk;
  readonly logger: Logger;
  readonly metrics: Metrics | undefined;
  /** False: every blob is synced by itself, one after the other. Only to measure what batching brings. */
  readonly batching: boolean;
}

const stagedPerBoot = 2 ** 30;
const parallelHeaderReads = 8;

/**
 * Opens the store that keeps each blob in a file of its own, below a directory locked for this process (the tree is drawn
 * in `shelves.ts`, the file in `format.ts`).
 *
 *   stage ──► bytes, table, header ──► fdatasync ──► rename ──► fsync of the shelf ──► acknowledged
 *
 * @throws {DepositoError} `storage-failed`
 */
export async function openFileBlobStore(options: FileBlobStoreOptions): Promise<FileBlobStore> {
  const { dataDir, boots, disk, logger, metrics, batching } = options;
  const failStop = new FailStop();
  const blobMetrics = createBlobMetrics(metrics);
  const shelves = await failStop.guard("opening the blob store", () =>
    Shelves.open(dataDir, { disk, failStop, metrics: blobMetrics, batching }),
  );
  showUsage(metrics, () => shelves.usage());
  const { stage } = layoutOf(dataDir);
  return new FileBlobStore({ shelves, stage, disk, failStop, logger, metrics: blobMetrics, batching, boots });
}

interface Parts {
  readonly shelves: Shelves;
  readonly stage: string;
  readonly disk: StorageDisk;
  readonly failStop: FailStop;
  readonly logger: Logger;
  readonly metrics: BlobMetrics;
  readonly batching: boolean;
  readonly boots: number;
}

/** A file per blob; see `openFileBlobStore`. */
export class FileBlobStore implements BlobStore {
  /** Resolves when `usage` is complete; the count runs behind everything else. */
  readonly counted: Promise<void>;
  readonly #parts: Parts;
  readonly #small: SmallBlobs;
  readonly #writers = new Set<FileBlobWriter>();
  readonly #readers = new Set<FileBlobReader>();
  #stages = 0;
  #staged: number;
  #lastTurn: Promise<unknown> = Promise.resolve();
  /** Calls that have not ended: files may be closed only behind them. */
  readonly #underWay = new Set<Promise<unknown>>();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#small = new SmallBlobs({
      ...parts,
      newStagePath: (blobId) => this.#newStagePath(blobId),
      nextStaged: () => this.#nextStaged(),
    });
    this.#staged = parts.boots * stagedPerBoot;
    this.counted = this.#count();
  }

  stage(blobId: BlobId, expectedBytes: number | undefined): Promise<BlobWriter> {
    return this.#call(() => this.#stage(blobId, expectedBytes));
  }

  store(
    blobs: readonly { readonly facts: BlobFacts; readonly bytes: Uint8Array }[],
  ): Promise<readonly (StoredBlob | { readonly failed: "digest-mismatch" })[]> {
    return this.#call(async () => {
      if (this.#parts.batching) return await this.#small.store(blobs);
      return await inParallel(blobs, 1, (blob) => this.#inTurn(async () => only(await this.#small.store([blob]))));
    });
  }

  open(blobId: BlobId): Promise<BlobReader> {
    return this.#call(() => this.#open(blobId));
  }

  settled(blobId: BlobId): Promise<void> {
    return this.#call(() => this.#parts.shelves.of(blobId).settled());
  }

  remove(blobIds: readonly BlobId[]): Promise<void> {
    return this.#call(() => this.#parts.shelves.remove(blobIds));
  }

  /** Blobs whose header is damaged are left out: there is nothing to say of them but what the log says. */
  list(after: BlobId | undefined, limit: number): Promise<readonly StoredBlob[]> {
    return this.#call(() => this.#list(after, limit));
  }

  usage(): { readonly files: number; readonly bytes: number } {
    return this.#parts.shelves.usage();
  }

  /** Removes the stages of uploads under way, waits for commits and removals, and closes every file. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    await Promise.allSettled([...this.#writers].map((writer) => writer.cancel()));
    await Promise.all([...this.#readers].map((reader) => reader.close()));
    await this.counted;
    await this.#parts.shelves.close();
  }

  async #stage(blobId: BlobId, expectedBytes: number | undefined): Promise<BlobWriter> {
    const { disk, failStop, metrics } = this.#parts;
    const writer = await FileBlobWriter.open({
      blobId,
      expectedBytes,
      stagePath: this.#newStagePath(blobId),
      shelf: this.#parts.shelves.of(blobId),
      disk,
      failStop,
      metrics,
      nextStaged: () => this.#nextStaged(),
      inTurn: (syncs) => this.#inTurn(syncs),
      onEnd: (ended) => this.#writers.delete(ended),
    });
    this.#writers.add(writer);
    return writer;
  }

  async #open(blobId: BlobId): Promise<BlobReader> {
    const reader = await FileBlobReader.open({
      ...this.#file(blobId),
      onClose: (closed) => this.#readers.delete(closed),
    });
    this.#readers.add(reader);
    return reader;
  }

  async #list(after: BlobId | undefined, limit: number): Promise<readonly StoredBlob[]> {
    const listed: StoredBlob[] = [];
    for await (const blobIds of this.#parts.shelves.blobIds(after)) {
      for (let from = 0; from < blobIds.length && listed.length < limit; ) {
        const some = blobIds.slice(from, from + limit - listed.length);
        const blobs = await inParallel(some, parallelHeaderReads, (blobId) => this.#header(blobId));
        listed.push(...blobs.filter((blob) => blob !== undefined));
        from += some.length;
      }
      if (listed.length >= limit) break;
    }
    return listed;
  }

  /** What the header of a visible blob says; undefined when it was removed meanwhile or is damaged. */
  async #header(blobId: BlobId): Promise<StoredBlob | undefined> {
    try {
      return await readHeader(this.#file(blobId));
    } catch (error) {
      if (hasCode(error, "blob-not-found") || hasCode(error, "blob-damaged")) return undefined;
      throw error;
    }
  }

  #file(blobId: BlobId): BlobFile {
    const { shelves, disk, logger, metrics } = this.#parts;
    return {
      blobId,
      path: shelves.of(blobId).pathOf(blobId),
      disk,
      onDamage(error) {
        metrics.damaged.inc();
        logger.error({ blobId, error: error.message }, "a blob is damaged");
      },
    };
  }

  async #count(): Promise<void> {
    const { shelves, logger } = this.#parts;
    try {
      await shelves.count(() => this.#closed);
    } catch (error) {
      logger.error({ error: String(error) }, "the blobs on disk could not be counted");
    }
  }

  async #call<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#closed) throw new DepositoError("internal-error", "the blob store is closed");
    this.#parts.failStop.check();
    const running = task();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }

  #inTurn<Result>(syncs: () => Promise<Result>): Promise<Result> {
    if (this.#parts.batching) return syncs();
    const turn = this.#lastTurn.then(syncs);
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }

  #nextStaged(): Staged {
    this.#staged += 1;
    invariant(this.#staged < (this.#parts.boots + 1) * stagedPerBoot, () => `staged numbers ran out: ${this.#staged}`);
    return staged(this.#staged);
  }

  #newStagePath(blobId: BlobId): string {
    this.#stages += 1;
    return join(this.#parts.stage, `${blobId}.${this.#stages}`);
  }
}

function only<T>(items: readonly T[]): T {
  invariant(items.length === 1, () => `${items.length} items instead of one`);
  return items[0] as T;
}
