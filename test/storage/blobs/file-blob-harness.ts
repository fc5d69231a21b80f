import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { BlobId } from "../../../node/base/ids.ts";
import { silentLogger } from "../../../node/base/logger.ts";
import { type FileBlobStore, openFileBlobStore } from "../../../node/storage/blobs/file-blob-store.ts";
import { headerBytes, plainBytes } from "../../../node/storage/blobs/format.ts";
import type { StorageDisk } from "../../../node/storage/disk.ts";
import { systemDisk } from "../../../node/storage/system/system-disk.ts";
import type { BlobStoreHarness } from "../blob-store-conformance.ts";
import { temporaryFolder } from "./builders.ts";

/** A file-per-blob store in a temporary folder. */
export interface FileBlobHarness extends BlobStoreHarness {
  readonly store: FileBlobStore;
  readonly dataDir: string;
  reopen(): Promise<FileBlobStore>;
  pathOf(blobId: BlobId): string;
}

export interface FileBlobHarnessOptions {
  readonly batching: boolean;
  readonly disk: StorageDisk;
  /** Undefined: a folder of its own, removed at the end. */
  readonly dataDir: string | undefined;
}

export async function fileBlobHarness(options: Partial<FileBlobHarnessOptions> = {}): Promise<FileBlobHarness> {
  const folder = options.dataDir === undefined ? await temporaryFolder() : undefined;
  const dataDir = options.dataDir ?? (folder as { path: string }).path;
  let boots = 0;
  const openStore = () => {
    boots += 1;
    const batching = options.batching ?? true;
    const disk = options.disk ?? systemDisk;
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
    damage: (blobId, where) => flipBit(pathOf(blobId), where),
    counted: () => current.counted,
    stagesOnDisk: async () => (await readdir(join(dataDir, "stage"))).length,
    async close() {
      await current.close();
      await folder?.remove();
    },
  };
}

async function flipBit(path: string, where: "header" | "bytes" | "table"): Promise<void> {
  const file = await open(path, "r+");
  try {
    const { size } = await file.stat();
    const sizeBytes = plainBytes(size);
    const at = { header: 40, bytes: headerBytes + Math.floor(sizeBytes / 2), table: size - 2 }[where];
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    byte.writeUInt8(byte.readUInt8() ^ 4);
    await file.write(byte, 0, 1, at);
  } finally {
    await file.close();
  }
}
