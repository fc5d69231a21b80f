import { silentLogger } from "../../../node/base/logger.ts";
import { openFileBlobStore } from "../../../node/storage/blobs/file-blob-store.ts";
import { systemDisk } from "../../../node/storage/system/system-disk.ts";
import { describeBlobStore } from "../blob-store-conformance.ts";
import { simulatedPlace } from "../test-disks.ts";
import { fileBlobHarness } from "./file-blob-harness.ts";

describeBlobStore("file per blob", () => fileBlobHarness(), {
  child: new URL("./crash-child.ts", import.meta.url),
  open: (dataDir, boots) =>
    openFileBlobStore({ dataDir, boots, disk: systemDisk, logger: silentLogger, metrics: undefined, batching: true }),
});
describeBlobStore("file per blob, batching off", () => fileBlobHarness({ batching: false }), undefined);

/** A store on a simulated disk of its own. */
async function simulatedHarness(batching: boolean) {
  const { path: dataDir, disk } = simulatedPlace();
  await disk.makeDirectory(dataDir);
  return fileBlobHarness({ dataDir, disk, batching });
}
describeBlobStore("file per blob, simulated disk", () => simulatedHarness(true), undefined);
describeBlobStore("file per blob, simulated disk, batching off", () => simulatedHarness(false), undefined);
