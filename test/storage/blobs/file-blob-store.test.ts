import { silentLogger } from "../../../node/base/logger.ts";
import { openFileBlobStore } from "../../../node/storage/blobs/file-blob-store.ts";
import { systemDisk } from "../../../node/storage/system/system-disk.ts";
import { describeBlobStore } from "../blob-store-conformance.ts";
import { fileBlobHarness } from "./file-blob-harness.ts";

describeBlobStore("file per blob", () => fileBlobHarness(), {
  child: new URL("./crash-child.ts", import.meta.url),
  open: (dataDir, boots) =>
    openFileBlobStore({ dataDir, boots, disk: systemDisk, logger: silentLogger, metrics: undefined, batching: true }),
});
describeBlobStore("file per blob, batching off", () => fileBlobHarness({ batching: false }), undefined);
