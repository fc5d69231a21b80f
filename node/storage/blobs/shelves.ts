import { join } from "node:path";
import type { BlobId } from "../../base/ids.ts";
import { syncDirectory } from "../directories.ts";
import type { StorageDisk } from "../disk.ts";
import { layoutOf } from "../layout.ts";
import { inParallel } from "./parallel.ts";
import { type SealedStage, Shelf, type ShelfOptions } from "./shelf.ts";

/**
 * Every visible blob, on 256 shelves.
 *
 *   <dir>/stage/<blobId>.<n>   being written; emptied on opening: an upload does not survive its process
 *   <dir>/blobs/<xx>/<blobId>  visible; <xx> are the first two digits of the id
 *
 * So id order is shelf order, and a shelf of a million blobs lists 4,000 names. A shelf's directory is made when the first
 * blob is staged for it. Fewer shelves would share more syncs, but measured with 16, 64 and 256 the rate differed by less
 * than a tenth: on a journaling file system one commit of the journal serves them all.
 */
export class Shelves {
  /** By the first two digits of the id. */
  readonly #shelves: readonly Shelf[];
  readonly #disk: StorageDisk;
  readonly #directory: number;

  private constructor(shelves: readonly Shelf[], disk: StorageDisk, directory: number) {
    this.#shelves = shelves;
    this.#disk = disk;
    this.#directory = directory;
  }

  /** Makes what is missing of the tree below `dataDir`, and empties the stage directory. */
  static async open(dataDir: string, options: Omit<ShelfOptions, "path" | "parent">): Promise<Shelves> {
    const { blobs, stage } = layoutOf(dataDir);
    const { disk } = options;
    await disk.makeDirectory(blobs);
    await disk.makeDirectory(stage);
    await syncDirectory(disk, dataDir);
    await inParallel(await disk.names(stage), 8, (name) => disk.unlink(join(stage, name)));
    const parent = await disk.open(blobs, "read");
    await disk.syncDirectory(parent);
    const shelves = shelfNames.map((name) => new Shelf({ ...options, path: join(blobs, name), parent }));
    const present = new Set(await disk.names(blobs));
    await inParallel(shelfNames, 8, async (name) => {
      if (present.has(name)) await shelves[shelfNumber(name)]?.openExisting();
    });
    return new Shelves(shelves, disk, parent);
  }

  of(blobId: BlobId): Shelf {
    return this.#shelves[shelfNumber(blobId)] as Shelf;
  }

  async publish(stages: readonly SealedStage[]): Promise<void> {
    const byShelf = Map.groupBy(stages, ({ blobId }) => this.of(blobId));
    await inParallel([...byShelf], byShelf.size, ([shelf, ofShelf]) => shelf.publish(ofShelf));
  }

  async remove(blobIds: readonly BlobId[]): Promise<void> {
    const byShelf = Map.groupBy(blobIds, (blobId) => this.of(blobId));
    await inParallel([...byShelf], byShelf.size, ([shelf, ofShelf]) => shelf.remove(ofShelf));
  }

  /** Ids after `after`, in order, one shelf after the other. */
  async *blobIds(after: BlobId | undefined): AsyncGenerator<readonly BlobId[], void, void> {
    for (const shelf of this.#shelves.slice(after === undefined ? 0 : shelfNumber(after))) {
      const blobIds = await shelf.blobIds();
      yield after === undefined ? blobIds : blobIds.filter((blobId) => blobId > after);
    }
  }

  /** Counts one shelf after the other, until it is `stopped`. */
  async count(stopped: () => boolean): Promise<void> {
    for (const shelf of this.#shelves) if (!stopped()) await shelf.count();
  }

  usage(): { readonly files: number; readonly bytes: number } {
    let files = 0;
    let bytes = 0;
    for (const shelf of this.#shelves) {
      const usage = shelf.usage();
      files += usage.files;
      bytes += usage.bytes;
    }
    return { files, bytes };
  }

  async close(): Promise<void> {
    await Promise.all(this.#shelves.map((shelf) => shelf.close()));
    this.#disk.close(this.#directory);
  }
}

const shelfNames = Array.from({ length: 256 }, (_, number) => number.toString(16).padStart(2, "0"));

function shelfNumber(name: string): number {
  return Number.parseInt(name.slice(0, 2), 16);
}
