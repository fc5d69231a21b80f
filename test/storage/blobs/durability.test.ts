import assert from "node:assert/strict";
import { basename } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { hasCode } from "../../../node/base/errors.ts";
import { type BlobId, newBlobId } from "../../../node/base/ids.ts";
import { type DiskOperation, type SpyDisk, spyDisk, systemError } from "../spy-disk.ts";
import { blobOf, readBack, rejectsWith, stream, type TestBlob } from "./builders.ts";
import { type FileBlobHarness, fileBlobHarness } from "./file-blob-harness.ts";

let disk: SpyDisk;
let harness: FileBlobHarness;

async function openHarness(batching = true): Promise<void> {
  disk = spyDisk();
  harness = await fileBlobHarness({ disk, batching });
  await harness.counted();
  await harness.store.store([onOneShelf(blobOf(0))]); // so that its directory is there
  disk.done.length = 0;
}

/** Blobs whose ids begin alike lie in one directory. */
function onShelf(name: string, blob: TestBlob): TestBlob {
  return { ...blob, facts: { ...blob.facts, blobId: `${name}${newBlobId().slice(2)}` as BlobId } };
}
const onOneShelf = (blob: TestBlob) => onShelf("ab", blob);

const timesDone = (operation: DiskOperation) => disk.done.filter((call) => call.operation === operation).length;

describe("File blob store: what is acknowledged", () => {
  beforeEach(() => openHarness());
  after(() => harness.close());

  for (const [how, put] of [
    ["a stored blob", (blob: TestBlob) => harness.store.store([blob])],
    ["a streamed blob", (blob: TestBlob) => stream(harness.store, blob)],
  ] as const)
    test(`${how} is written, synced, renamed and its directory synced, in this order, before the answer`, async () => {
      await put(onOneShelf(blobOf(200_000)));
      const order = disk.done.map((call) => call.operation).filter((operation) => operation !== "write");
      assert.deepEqual(order, ["create", "sync-file", "rename", "sync-directory"]);
      const lastWrite = disk.done.findLastIndex((call) => call.operation === "write");
      assert.ok(lastWrite < disk.done.findIndex((call) => call.operation === "sync-file"));
      await harness.close();
    });

  for (const held of ["sync-file", "rename", "sync-directory"] as const)
    test(`no answer leaves while its ${held} has not returned`, async () => {
      const gate = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      disk.before = async ({ operation }) => {
        if (operation !== held) return;
        reached.resolve();
        await gate.promise;
      };
      let answered = false;
      const stored = harness.store.store([onOneShelf(blobOf(10))]).then(() => {
        answered = true;
      });
      await reached.promise;
      await new Promise(setImmediate);
      assert.equal(answered, false);
      gate.resolve();
      await stored;
      await harness.close();
    });

  test("a new directory is made and synced into its own before a blob is staged for it, and once only", async () => {
    await Promise.all([1, 2, 3].map(() => harness.store.store([onShelf("cd", blobOf(10))])));
    assert.deepEqual(
      disk.done.slice(0, 3).map(({ operation, path }) => [operation, basename(path)]),
      [
        ["make-directory", "cd"],
        ["sync-directory", "blobs"],
        ["open", "cd"],
      ],
    );
    assert.equal(timesDone("make-directory"), 1);
    await harness.close();
  });

  test("what a killed life renamed but did not sync is synced before the store opens again", async () => {
    await harness.store.store([onShelf("ef", blobOf(10))]);
    disk.done.length = 0;
    await harness.reopen();
    const synced = disk.done
      .filter(({ operation }) => operation === "sync-directory")
      .map(({ path }) => basename(path));
    assert.deepEqual(synced.slice(1).sort(), ["ab", "blobs", "ef"]);
    assert.equal(synced[0], basename(harness.dataDir));
    await harness.close();
  });

  test("a removal is answered after its directory is synced, even if the name was gone already", async () => {
    const { facts } = onOneShelf(blobOf(1));
    await harness.store.remove([facts.blobId]);
    assert.equal(disk.done.at(-1)?.operation, "sync-directory");
    await harness.close();
  });
});

describe("File blob store: group commit", () => {
  after(() => harness.close());

  test("commits that wait together share directory syncs", async () => {
    await openHarness();
    await harness.store.store(Array.from({ length: 32 }, () => onOneShelf(blobOf(1000))));
    assert.equal(timesDone("sync-directory"), 1);
    await Promise.all(Array.from({ length: 32 }, () => stream(harness.store, onOneShelf(blobOf(1000)))));
    assert.ok(timesDone("sync-directory") < 32, `${timesDone("sync-directory")} syncs for 33 commits`);
    await harness.close();
  });

  test("without batching every blob has its own syncs, one after the other", async () => {
    await openHarness(false);
    let syncing = 0;
    disk.before = async ({ operation }) => {
      if (operation === "sync-directory") syncing -= 1;
      if (operation !== "sync-file") return;
      syncing += 1;
      assert.equal(syncing, 1);
    };
    const streamed = Array.from({ length: 8 }, () => stream(harness.store, onOneShelf(blobOf(1000))));
    await Promise.all([harness.store.store(Array.from({ length: 8 }, () => onOneShelf(blobOf(1000)))), ...streamed]);
    assert.equal(timesDone("sync-file"), 16);
    assert.equal(timesDone("sync-directory"), 16);
  });
});

describe("File blob store: a failed write or sync ends it", () => {
  for (const [operation, code] of [
    ["sync-file", "EIO"],
    ["sync-file", "ENOSPC"],
    ["rename", "ENOSPC"],
    ["sync-directory", "EIO"],
    ["write", "EIO"],
    ["create", "EROFS"],
  ] as const)
    test(`${operation} failing with ${code}: storage-failed now and ever after, and never tried again`, async () => {
      await openHarness();
      const kept = blobOf(10);
      await harness.store.store([kept]);
      const writer = await harness.store.stage(newBlobId(), undefined);
      let failures = 0;
      disk.before = (call) => {
        if (call.operation !== operation) return;
        failures += 1;
        throw systemError(code);
      };
      await rejectsWith("storage-failed", harness.store.store([blobOf(10)]));
      disk.before = () => undefined;
      const syncs = timesDone("sync-file") + timesDone("sync-directory");
      await rejectsWith("storage-failed", harness.store.store([blobOf(10)]));
      await rejectsWith("storage-failed", harness.store.stage(newBlobId(), undefined));
      await rejectsWith("storage-failed", harness.store.remove([kept.facts.blobId]));
      await rejectsWith("storage-failed", harness.store.open(kept.facts.blobId));
      await rejectsWith("storage-failed", writer.write(kept.bytes));
      await rejectsWith("storage-failed", writer.commit(kept.facts));
      assert.equal(failures, 1);
      assert.equal(timesDone("sync-file") + timesDone("sync-directory"), syncs);
      await harness.close();
    });

  test("everyone who waits for the failed sync of a directory is told", async () => {
    await openHarness();
    disk.before = ({ operation }) => {
      if (operation === "sync-directory") throw systemError("EIO");
    };
    const commits = Array.from({ length: 8 }, () => stream(harness.store, onOneShelf(blobOf(10))));
    for (const result of await Promise.allSettled(commits))
      assert.ok(result.status === "rejected" && hasCode(result.reason, "storage-failed"));
    await harness.close();
  });

  test("a sync begun in the middle of a long upload that fails is not forgotten", async () => {
    await openHarness();
    const blob = blobOf(20 * 1024 * 1024);
    disk.before = ({ operation }) => {
      if (operation === "sync-file") throw systemError("EIO");
    };
    await rejectsWith("storage-failed", stream(harness.store, blob, 1024 * 1024));
    await harness.close();
  });
});

describe("File blob store: a disk that is full", () => {
  before(() => openHarness());
  after(() => harness.close());

  for (const [operation, size] of [
    ["create", 10],
    ["write", 10],
    ["write", 300_000],
  ] as const)
    test(`no space in a ${operation} of ${size} bytes fails that upload alone`, async () => {
      disk.before = (call) => {
        if (call.operation === operation) throw systemError("ENOSPC");
      };
      const blob = blobOf(size);
      await rejectsWith("not-enough-space", stream(harness.store, blob));
      await rejectsWith("not-enough-space", harness.store.store([blob, blobOf(5)]));
      disk.before = () => undefined;
      assert.equal(await harness.stagesOnDisk(), 0);
      await rejectsWith("blob-not-found", harness.store.open(blob.facts.blobId));
      await stream(harness.store, blob);
      assert.ok((await readBack(harness.store, blob.facts.blobId)).equals(blob.bytes));
    });

  test("small blobs stored together are all kept or none", async () => {
    let writes = 0;
    disk.before = ({ operation }) => {
      if (operation === "write" && ++writes === 20) throw systemError("ENOSPC");
    };
    const blobs = Array.from({ length: 40 }, () => blobOf(100));
    await rejectsWith("not-enough-space", harness.store.store(blobs));
    disk.before = () => undefined;
    assert.equal(await harness.stagesOnDisk(), 0);
    for (const { facts } of blobs) await rejectsWith("blob-not-found", harness.store.open(facts.blobId));
  });

  test("no space for a new directory fails that upload alone", async () => {
    await harness.close();
    await openHarness();
    const blob = onShelf("cd", blobOf(10));
    disk.before = ({ operation }) => {
      if (operation === "make-directory") throw systemError("ENOSPC");
    };
    await rejectsWith("not-enough-space", harness.store.store([blob]));
    await rejectsWith("not-enough-space", stream(harness.store, blob));
    disk.before = () => undefined;
    await harness.store.store([blob]);
    assert.ok((await readBack(harness.store, blob.facts.blobId)).equals(blob.bytes));
  });
});
