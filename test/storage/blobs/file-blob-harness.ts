import { join } from "node:path";
import type { BlobId } from "../../../node/base/ids.ts";
import { silentLogger } from "../../../node/base/logger.ts";
import { type FileBlobStore, openFileBlobStore } from "../../../node/storage/blobs/file-blob-store.ts";
import { headerBytes, plainBytes } from "../../../node/storage/blobs/format.ts";
import type { StorageDisk } from "../../../node/storage/disk.ts";
import { systemDisk } from "../../../node/storage/system/system-disk.ts";
import type { BlobStoreHarness } from "../blob-store-conformance.ts";
import { flipByte } from "../test-disks.ts";
import { temporaryFolder } from "./builders.ts";

/** A file-per-blob store in a folder of its own. */
export interface FileBlobHarness extends BlobStoreHarness {
  readonly store: FileBlobStore;
  readonly dataDir: string;
  reopen(): Promise<FileBlobStore>;
  pathOf(blobId: BlobId): string;
}

export interface FileBlobHarnessOptions {
  readonly batching: boolean;
  readonly disk: StorageDisk;
  /** Undefined: a folder of its own on the real disk, removed at the end. */
  readonly dataDir: string | undefined;
}

export async function fileBlobHarness(options: Partial<FileBlobHarnessOptions> = {}): Promise<FileBlobHarness> {
  const { batching = true, disk = systemDisk } = options;
  const folder = options.dataDir === undefined ? await temporaryFolder() : undefined;
  const dataDir = options.dataDir ?? (folder as { path: string }).path;
  let boots = 0;
  const openStore = () => {
    boots += 1;
    return openFileBlobStore({ dataDir, boots, disk, logger: silentLogger, metrics: undefined, batching });
  };
  const first = await openStore();
  let current = first;
  const pathOf = (blobId: BlobId) => join(dataDir, "blobs", blobId.slice(0, 2), blobId);
  return {
    store: first,
    dataDir,
    pathOf,
    async reopen() {
      await current.close();
      current = await openStore();
      return current;
    },
    async damage(blobId, where) {
      const sizeBytes = (await disk.sizeAt(pathOf(blobId))) ?? 0;
      const middle = headerBytes + Math.floor(plainBytes(sizeBytes) / 2);
      await flipByte(disk, pathOf(blobId), { header: 40, bytes: middle, table: sizeBytes - 2 }[where]);
    },
    counted: () => current.counted,
    stagesOnDisk: async () => (await disk.names(join(dataDir, "stage"))).length,
    async close() {
      await current.close();
      await folder?.remove();
    },
  };
}
