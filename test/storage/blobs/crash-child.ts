import { silentLogger } from "../../../node/base/logger.ts";
import { openFileBlobStore } from "../../../node/storage/blobs/file-blob-store.ts";
import { systemDisk } from "../../../node/storage/system/system-disk.ts";
import { depositUntilKilled } from "../blob-store-crashes.ts";

// Started by `describeCrashes`: a process that stores blobs until it is killed.
const [dataDir, boots] = process.argv.slice(2);
const store = await openFileBlobStore({
  dataDir: String(dataDir),
  boots: Number(boots),
  disk: systemDisk,
  logger: silentLogger,
  metrics: undefined,
  batching: true,
});
await depositUntilKilled(store);
