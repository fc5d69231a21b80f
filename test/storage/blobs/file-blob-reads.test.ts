import assert from "node:assert/strict";
import { appendFile, copyFile, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { newBlobId } from "../../../node/base/ids.ts";
import { BlockChecksums, blockBytes, headerBytes } from "../../../node/storage/blobs/format.ts";
import { type SpyDisk, spyDisk, systemError } from "../spy-disk.ts";
import { blobOf, openFilesBelow, readBack, rejectsWith, stream } from "./builders.ts";
import { type FileBlobHarness, fileBlobHarness } from "./file-blob-harness.ts";

let disk: SpyDisk;
let harness: FileBlobHarness;

describe("File blob store: reading", () => {
  before(async () => {
    disk = spyDisk();
    harness = await fileBlobHarness({ disk });
  });
  after(() => harness.close());

  /** Bytes and calls that reading a range takes. */
  async function readsOf(sizeBytes: number, range: { start: number; end: number }): Promise<number[]> {
    const blob = blobOf(sizeBytes);
    await stream(harness.store, blob);
    disk.done.length = 0;
    assert.ok(
      (await readBack(harness.store, blob.facts.blobId, range)).equals(blob.bytes.subarray(range.start, range.end)),
    );
    return disk.done.filter(({ operation }) => operation === "read").map(({ bytes }) => bytes);
  }

  test("a blob of one block is one read", async () => {
    assert.equal((await readsOf(1000, { start: 10, end: 20 })).length, 1);
    assert.equal((await readsOf(blockBytes, { start: 0, end: blockBytes })).length, 1);
  });

  test("a range reads the header, its own blocks and their part of the table, and nothing else", async () => {
    const middle = 100 * blockBytes;
    const reads = await readsOf(200 * blockBytes, { start: middle + 5, end: middle + 6 });
    assert.deepEqual(reads, [headerBytes, blockBytes, 100 * 4]);
  });

  test("a file shorter or longer than its header says, or empty, is damaged", async () => {
    for (const size of [100, 200_000])
      for (const change of [
        (path: string) => truncate(path, headerBytes + size),
        (path: string) => truncate(path, 50),
        (path: string) => truncate(path, 0),
        (path: string) => appendFile(path, Buffer.alloc(1)),
      ]) {
        const blob = blobOf(size);
        await stream(harness.store, blob);
        await change(harness.pathOf(blob.facts.blobId));
        await rejectsWith("blob-damaged", harness.store.open(blob.facts.blobId));
      }
  });

  test("another blob under the name is damaged", async () => {
    const [blob, other] = [blobOf(70_000), blobOf(70_000)];
    await stream(harness.store, blob);
    await stream(harness.store, other);
    await copyFile(harness.pathOf(other.facts.blobId), harness.pathOf(blob.facts.blobId));
    await rejectsWith("blob-damaged", harness.store.open(blob.facts.blobId));
  });

  test("a right block in the wrong place is damaged, within a blob and between two", async () => {
    const part = blobOf(blockBytes).bytes;
    const [blob, other] = [blobOf(Buffer.concat([part, part, part])), blobOf(Buffer.concat([part, part, part]))];
    await stream(harness.store, blob);
    await stream(harness.store, other);
    const path = harness.pathOf(blob.facts.blobId);
    const file = await readFile(path);
    const table = headerBytes + 3 * blockBytes;
    const swapped = Buffer.from(file);
    file.copy(swapped, table, table + 4, table + 8);
    file.copy(swapped, table + 4, table, table + 4);
    await writeFile(path, swapped);
    await rejectsWith("blob-damaged", readBack(harness.store, blob.facts.blobId));

    const foreign = await readFile(harness.pathOf(other.facts.blobId));
    await writeFile(path, Buffer.concat([file.subarray(0, table), foreign.subarray(table)]));
    await rejectsWith("blob-damaged", readBack(harness.store, blob.facts.blobId));
  });

  test("bytes and checksum changed together are damaged in a small blob: the table has a checksum of its own", async () => {
    const blob = blobOf(1000);
    await stream(harness.store, blob);
    const path = harness.pathOf(blob.facts.blobId);
    const file = await readFile(path);
    file.writeUInt8(file.readUInt8(headerBytes) ^ 1, headerBytes);
    const plain = file.subarray(headerBytes, headerBytes + 1000);
    file.writeUInt32BE(crc32(plain, new BlockChecksums(blob.facts.blobId).seed(0)), headerBytes + 1000);
    await writeFile(path, file);
    await rejectsWith("blob-damaged", harness.store.open(blob.facts.blobId));
  });

  test("a block the disk cannot read is damaged; a want of descriptors is not", async () => {
    const blob = blobOf(200_000);
    await stream(harness.store, blob);
    disk.before = ({ operation, bytes }) => {
      if (operation === "read" && bytes > headerBytes) throw systemError("EIO");
    };
    await rejectsWith("blob-damaged", readBack(harness.store, blob.facts.blobId));
    disk.before = ({ operation }) => {
      if (operation === "open") throw systemError("EMFILE");
    };
    await rejectsWith("internal-error", harness.store.open(blob.facts.blobId));
    disk.before = () => undefined;
    assert.ok((await readBack(harness.store, blob.facts.blobId)).equals(blob.bytes));
  });

  test("a reader is closed only when its read has returned: the descriptor could name another file by then", async () => {
    const blob = blobOf(200_000);
    await stream(harness.store, blob);
    const reader = await harness.store.open(blob.facts.blobId);
    const gate = Promise.withResolvers<void>();
    disk.before = ({ operation }) => (operation === "read" ? gate.promise : undefined);
    disk.done.length = 0;
    const next = reader.read({ start: 0, end: 1 })[Symbol.asyncIterator]().next();
    let closed = false;
    const closing = reader.close().then(() => {
      closed = true;
    });
    await new Promise(setImmediate);
    assert.equal(closed, false);
    gate.resolve();
    await Promise.allSettled([next, closing]);
    assert.equal(disk.done.filter(({ operation }) => operation === "read").length, 1);
    disk.before = () => undefined;
  });

  test("names that are no blob ids are passed over, and damaged headers left out", async () => {
    const blob = blobOf(10);
    await harness.store.store([blob]);
    await writeFile(join(harness.pathOf(blob.facts.blobId), "..", "notes.txt"), "by hand");
    await writeFile(join(harness.dataDir, "blobs", "notes.txt"), "by hand");
    await harness.damage(blob.facts.blobId, "header");
    const ids = (await harness.store.list(undefined, 1000)).map(({ blobId }) => blobId);
    assert.ok(!ids.includes(blob.facts.blobId));
    await harness.reopen();
    await harness.counted();
  });
});

describe("File blob store: descriptors", () => {
  before(async () => {
    harness = await fileBlobHarness();
  });
  after(() => harness.close());

  test("no iteration leaks one, however it ends", async (t) => {
    const blob = blobOf(3_000_000);
    await stream(harness.store, blob);
    const before = openFilesBelow(harness.dataDir);
    if (before === undefined) return t.skip("this system does not list open files");
    const range = { start: 0, end: 3_000_000 };
    const begin = async () => (await harness.store.open(blob.facts.blobId)).read(range)[Symbol.asyncIterator]();

    for await (const _ of (await harness.store.open(blob.facts.blobId)).read(range)) break;
    await assert.rejects(async () => {
      for await (const _ of (await harness.store.open(blob.facts.blobId)).read(range))
        throw new Error("the consumer failed");
    }, /the consumer failed/);
    await (await begin()).return?.();
    await assert.rejects(async () => (await begin()).throw?.(new Error("thrown in")), /thrown in/);
    const inTheMiddle = await begin();
    await Promise.all([inTheMiddle.next(), inTheMiddle.next(), inTheMiddle.return?.()]);
    const reader = await harness.store.open(blob.facts.blobId);
    const closedFromOutside = reader.read(range)[Symbol.asyncIterator]();
    const next = closedFromOutside.next();
    await Promise.allSettled([reader.close(), reader.close(), next]);
    await assert.rejects(async () => {
      if ((await closedFromOutside.next()).done === true) throw new Error("nothing more comes");
    });
    await (await harness.store.open(newBlobId()).catch(() => undefined))?.close();
    await harness.damage(blob.facts.blobId, "bytes");
    await rejectsWith("blob-damaged", readBack(harness.store, blob.facts.blobId));
    await harness.damage(blob.facts.blobId, "header");
    await rejectsWith("blob-damaged", harness.store.open(blob.facts.blobId));
    assert.equal(openFilesBelow(harness.dataDir), before);
  });

  test("no upload leaks one, however it ends, and closing the store closes all", async (t) => {
    const blob = blobOf(100_000);
    await stream(harness.store, blob); // its directory stays open
    const before = openFilesBelow(harness.dataDir);
    if (before === undefined) return t.skip("this system does not list open files");
    const cancelled = await harness.store.stage(blob.facts.blobId, undefined);
    await cancelled.write(blob.bytes);
    await cancelled.cancel();
    const wrong = await harness.store.stage(blob.facts.blobId, undefined);
    await rejectsWith("size-mismatch", wrong.commit(blob.facts));
    assert.equal(openFilesBelow(harness.dataDir), before);
    await harness.store.stage(newBlobId(), undefined);
    await harness.store.open(blob.facts.blobId);
    await harness.store.close();
    assert.equal(openFilesBelow(harness.dataDir), 0);
  });
});

describe("File blob store: memory", () => {
  test("a writer holds at most 64 KiB that the disk has not got", async () => {
    disk = spyDisk();
    harness = await fileBlobHarness({ disk });
    const writer = await harness.store.stage(newBlobId(), undefined);
    let given = 0;
    for (const size of [10, 65_535, 65_536, 65_537, 1_000_000, 3, 200_000, 65_533]) {
      await writer.write(Buffer.alloc(size));
      given += size;
      const written = disk.done.reduce((sum, { operation, bytes }) => sum + (operation === "write" ? bytes : 0), 0);
      assert.ok(given - written < blockBytes, `${given - written} bytes held after ${given}`);
    }
    await harness.close();
  });

  test("a writer never has more than one sync under way: on a slow disk it waits", async () => {
    disk = spyDisk();
    harness = await fileBlobHarness({ disk });
    let begun = 0;
    disk.before = async ({ operation }) => {
      if (operation !== "sync-file") return;
      begun += 1;
      const done = disk.done.filter((call) => call.operation === "sync-file").length;
      assert.equal(begun - done, 1);
      await setTimeout(100); // the slow disk
    };
    const writer = await harness.store.stage(newBlobId(), undefined);
    for (let written = 0; written < 50; written += 1) await writer.write(Buffer.alloc(1024 * 1024));
    assert.equal(begun, 3);
    await writer.cancel();
    await harness.close();
  });
});
