import assert from "node:assert/strict";
import { test } from "node:test";
import type { BlobId } from "../../../node/base/ids.ts";
import { silentLogger } from "../../../node/base/logger.ts";
import { createMetrics } from "../../../node/base/metrics.ts";
import { openFileBlobStore } from "../../../node/storage/blobs/file-blob-store.ts";
import { type SpyDisk, spyDisk, systemError } from "../spy-disk.ts";
import { onEachDisk } from "../test-disks.ts";
import { blobOf, readBack, rejectsWith, stream } from "./builders.ts";
import { type FileBlobHarness, fileBlobHarness } from "./file-blob-harness.ts";

// What a blob store makes of a disk that refuses to show what lies on it.

onEachDisk((newPlace) => {
  async function opened(): Promise<FileBlobHarness & { readonly disk: SpyDisk }> {
    const { path, disk: bare } = await newPlace();
    await bare.makeDirectory(path);
    const disk = spyDisk(bare);
    return { ...(await fileBlobHarness({ dataDir: path, disk })), disk };
  }

  test("blob failure: a file that the disk will not open, or that ends too early, is damaged, and the rest is served", async () => {
    const { store, disk, close } = await opened();
    const [bad, good] = [blobOf(300_000), blobOf(300_000)];
    await stream(store, bad);
    await stream(store, good);
    const isBad = (path: string) => path.endsWith(bad.facts.blobId);
    disk.before = ({ operation, path }) => {
      if (operation === "open" && isBad(path)) throw systemError("EIO");
    };
    await rejectsWith("blob-damaged", store.open(bad.facts.blobId));
    assert.ok((await readBack(store, good.facts.blobId)).equals(good.bytes));
    disk.before = () => undefined;
    const reader = await store.open(bad.facts.blobId);
    const { read } = disk;
    disk.read = async (fd, into, position) => (await read(fd, into, position)) - 1;
    const first = reader.read({ start: 0, end: 300_000 })[Symbol.asyncIterator]().next();
    await rejectsWith("blob-damaged", first);
    disk.read = read;
    await close();
  });

  test("blob failure: a list that cannot be made for want of descriptors says so, and leaves nothing out", async () => {
    const { store, disk, close } = await opened();
    await store.store([blobOf(10)]);
    disk.before = ({ operation }) => {
      if (operation === "open") throw systemError("EMFILE");
    };
    await rejectsWith("internal-error", store.list(undefined, 10));
    disk.before = () => undefined;
    assert.equal((await store.list(undefined, 10)).length, 1);
    await close();
  });

  test("blob failure: blobs that cannot be counted are served all the same", async () => {
    const harness = await opened();
    const blob = blobOf(10);
    await harness.store.store([blob]);
    const { names } = harness.disk;
    harness.disk.names = (path) => (path.includes("/blobs/") ? Promise.reject(systemError("EMFILE")) : names(path));
    const store = await harness.reopen();
    await store.counted;
    harness.disk.names = names;
    assert.ok((await readBack(store, blob.facts.blobId)).equals(blob.bytes));
    await store.store([blobOf(10)]);
    await harness.close();
  });

  test("blob failure: an upload whose write failed goes on failing so, and leaves no stage", async () => {
    const { store, disk, close, stagesOnDisk } = await opened();
    const blob = blobOf(200_000);
    const writer = await store.stage(blob.facts.blobId, undefined);
    disk.before = ({ operation }) => {
      if (operation === "write") throw systemError("ENOSPC");
    };
    await rejectsWith("not-enough-space", writer.write(blob.bytes));
    disk.before = () => undefined;
    await rejectsWith("not-enough-space", writer.write(blob.bytes));
    await rejectsWith("not-enough-space", writer.commit(blob.facts));
    assert.equal(await stagesOnDisk(), 0);
    await close();
  });

  test("blob usage: is exact once counted, whatever was stored and removed while it was being counted", async () => {
    const harness = await opened();
    const onShelf = (size: number) => {
      const blob = blobOf(size);
      return { ...blob, facts: { ...blob.facts, blobId: `ff${blob.facts.blobId.slice(2)}` as BlobId } };
    };
    const [kept, removed] = [onShelf(100), onShelf(1000)];
    await harness.store.store([kept, removed]);
    const gate = Promise.withResolvers<void>();
    const { names } = harness.disk;
    harness.disk.names = async (path) => {
      if (path.includes("/blobs/")) await gate.promise;
      return await names(path);
    };
    // The shelf of these is counted last; one before it holds the count up.
    const other = blobOf(7);
    const early = { ...other, facts: { ...other.facts, blobId: `00${other.facts.blobId.slice(2)}` as BlobId } };
    await harness.store.store([early]);
    const store = await harness.reopen();
    await store.store([onShelf(30), kept]);
    await store.remove([removed.facts.blobId]);
    assert.deepEqual(store.usage(), { files: 0, bytes: 0 });
    gate.resolve();
    await store.counted;
    assert.deepEqual(store.usage(), { files: 3, bytes: 137 });
    await harness.close();
  });

  test("blob metrics: tell how many blobs and bytes there are, and what was done", async () => {
    const { path: dataDir, disk } = await newPlace();
    await disk.makeDirectory(dataDir);
    const metrics = createMetrics();
    const store = await openFileBlobStore({ dataDir, boots: 1, disk, logger: silentLogger, metrics, batching: true });
    await store.counted;
    await store.store([blobOf(10), blobOf(20)]);
    const shown = await metrics.metrics();
    assert.match(shown, /^deposito_blobs 2$/m);
    assert.match(shown, /^deposito_blob_bytes 30$/m);
    assert.match(shown, /^deposito_blob_commits_total 2$/m);
    assert.match(shown, /^deposito_blob_syncs_total\{of="file"\} 2$/m);
    await store.close();
  });
});
