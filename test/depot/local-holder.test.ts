import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import { type NodeId, newBlobId, type Sha256 } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { BlobHolder, type BlobHolderOptions } from "../../node/depot/local-holder.ts";
import type { BlobStore, StoredBlob } from "../../node/storage/types.ts";
import type { PeerClient } from "../../node/transport/types.ts";
import { blobOf, openFilesBelow, readBack, rejectsWith, type TestBlob } from "../storage/blobs/builders.ts";
import { type FileBlobHarness, fileBlobHarness } from "../storage/blobs/file-blob-harness.ts";
import { type SpyDisk, spyDisk, systemError } from "../storage/spy-disk.ts";

const self = "n1" as NodeId;
const peer = "n2" as NodeId;
const MiB = 1024 * 1024;

let disk: SpyDisk;
let harness: FileBlobHarness;

/** The only thing a holder asks of its peers: bytes. */
function peersThatServe(serve: PeerClient["readBlob"]): PeerClient {
  const refuse = () => Promise.reject(new DepositoError("peer-unreachable", "not in this test"));
  return {
    hello: refuse,
    storeSmall: refuse,
    openSink: refuse,
    askToPull: refuse,
    discard: refuse,
    snapshotChunk: refuse,
    close: async () => undefined,
    readBlob: serve,
  };
}

const noPeers = peersThatServe(() => Promise.reject(new DepositoError("peer-unreachable", "nobody is there")));

function holder(options: Partial<BlobHolderOptions> = {}): BlobHolder {
  return new BlobHolder({
    self,
    blobs: harness.store,
    peers: noPeers,
    freeBytes: () => 1000 * MiB,
    minFreeBytes: 100 * MiB,
    logger: silentLogger,
    batching: true,
    onFatal: (error) => assert.fail(String(error)),
    ...options,
  });
}

async function deposit(target: BlobHolder, { facts, bytes }: TestBlob) {
  const sink = await target.openSink(facts.blobId, facts.sizeBytes);
  await sink.write(bytes);
  return await sink.commit(facts);
}

async function* cut(bytes: Buffer, chunkBytes = 64_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

before(async () => {
  disk = spyDisk();
  harness = await fileBlobHarness({ disk });
});
after(() => harness.close());
beforeEach(() => {
  disk.before = () => undefined;
  disk.done.length = 0;
});

describe("Local holder: sinks", () => {
  test("a committed sink gives the staged number of the stored blob", async () => {
    const blob = blobOf(200_000);
    const staged = await deposit(holder(), blob);
    const [listed] = (await harness.store.list(undefined, 1000)).filter(({ blobId }) => blobId === blob.facts.blobId);
    assert.equal(listed?.staged, staged);
  });

  test("wrong facts, or abort at any time, keep nothing", async () => {
    const blob = blobOf(1000);
    const wrong = await holder().openSink(blob.facts.blobId, undefined);
    await wrong.write(blob.bytes);
    await rejectsWith("digest-mismatch", wrong.commit({ ...blob.facts, sha256: "0".repeat(64) as Sha256 }));
    await wrong.abort();
    const given = await holder().openSink(blob.facts.blobId, undefined);
    await Promise.all([given.write(blob.bytes), given.abort()]);
    await given.abort();
    await rejectsWith("blob-not-found", harness.store.open(blob.facts.blobId));
    assert.equal(await harness.stagesOnDisk(), 0);
  });
});

describe("Local holder: the low-water mark", () => {
  test("below it nothing is begun", async () => {
    const full = holder({ freeBytes: () => 100 * MiB });
    await rejectsWith("not-enough-space", full.openSink(newBlobId(), undefined));
    await rejectsWith("not-enough-space", full.storeSmall([blobOf(1)]));
    assert.deepEqual(disk.done, []);
  });

  test("a known size must fit above it, beside what other sinks still expect", async () => {
    const target = holder({ freeBytes: () => 110 * MiB });
    await rejectsWith("not-enough-space", target.openSink(newBlobId(), 11 * MiB));
    const first = await target.openSink(newBlobId(), 6 * MiB);
    await rejectsWith("not-enough-space", target.openSink(newBlobId(), 6 * MiB));
    await first.abort();
    await (await target.openSink(newBlobId(), 6 * MiB)).abort();
  });

  test("an upload of unknown size ends when it is reached, even before the disk is measured again", async () => {
    let freeBytes = 102 * MiB;
    const target = holder({ freeBytes: () => freeBytes });
    const sink = await target.openSink(newBlobId(), undefined);
    await sink.write(Buffer.alloc(MiB));
    await sink.write(Buffer.alloc(MiB));
    await rejectsWith("not-enough-space", sink.write(Buffer.alloc(1)));
    freeBytes = 103 * MiB;
    await sink.write(Buffer.alloc(1));
    await sink.abort();
  });
});

describe("Local holder: small blobs", () => {
  test("calls that wait together become one call of the store, each with its own results", async () => {
    const groups: number[] = [];
    const blobs: BlobStore = watched({
      store: (group) => {
        groups.push(group.length);
        return harness.store.store(group);
      },
    });
    const target = holder({ blobs });
    const calls = Array.from({ length: 20 }, (_, at) => [blobOf(at), { ...blobOf(5), bytes: Buffer.alloc(5) }]);
    const results = await Promise.all(calls.map((call) => target.storeSmall(call)));
    assert.deepEqual(groups, [40]);
    for (const [at, [kept, refused]] of results.entries()) {
      assert.equal((kept as StoredBlob).blobId, calls[at]?.[0]?.facts.blobId);
      assert.deepEqual(refused, { failed: "digest-mismatch" });
    }
  });

  test("a second group gathers while the first is being synced; without batching each call goes alone", async () => {
    for (const [batching, expected] of [
      [true, [1, 3]],
      [false, [1, 1, 1, 1]],
    ] as const) {
      const groups: number[] = [];
      const begun = Promise.withResolvers<void>();
      const gate = Promise.withResolvers<void>();
      const blobs = watched({
        store: async (group) => {
          groups.push(group.length);
          begun.resolve();
          await gate.promise;
          return await harness.store.store(group);
        },
      });
      const target = holder({ blobs, batching });
      const first = target.storeSmall([blobOf(1)]);
      await begun.promise;
      const rest = [1, 2, 3].map(() => target.storeSmall([blobOf(1)]));
      gate.resolve();
      await Promise.all([first, ...rest]);
      assert.deepEqual(groups, expected);
    }
  });

  test("a full queue refuses, and takes again once it is drained", async () => {
    const gate = Promise.withResolvers<void>();
    const target = holder({
      blobs: watched({ store: (group) => gate.promise.then(() => group.map(() => ({ failed: "digest-mismatch" }))) }),
    });
    const large = blobOf(40 * MiB);
    const waiting = target.storeSmall([large]);
    await rejectsWith("too-many-requests", target.storeSmall([large]));
    gate.resolve();
    await waiting;
    await target.storeSmall([large]);
  });
});

describe("Local holder: reading", () => {
  test("a range comes back, a missing blob and a range beyond the end are told at once, and no file stays open", async () => {
    const blob = blobOf(500_000);
    await deposit(holder(), blob);
    const openBefore = openFilesBelow(harness.dataDir);
    const chunks: Uint8Array[] = [];
    for await (const chunk of await holder().read(blob.facts.blobId, { start: 7, end: 400_000 })) chunks.push(chunk);
    assert.ok(Buffer.concat(chunks).equals(blob.bytes.subarray(7, 400_000)));
    await rejectsWith("blob-not-found", holder().read(newBlobId(), { start: 0, end: 1 }));
    await rejectsWith("range-not-satisfiable", holder().read(blob.facts.blobId, { start: 0, end: 500_001 }));
    assert.equal(openFilesBelow(harness.dataDir), openBefore);
  });
});

describe("Local holder: pulling", () => {
  /** A peer that serves one blob, and how often it was asked. */
  function serving(blob: TestBlob) {
    const asked: { start: number; end: number }[] = [];
    const peers = peersThatServe(async (from, blobId, range) => {
      assert.deepEqual([from, blobId], [peer, blob.facts.blobId]);
      asked.push(range);
      return cut(blob.bytes);
    });
    return { asked, target: holder({ peers }) };
  }

  test("a blob is copied whole; pulls of the same blob at once share one copy", async () => {
    const blob = blobOf(300_000);
    const { asked, target } = serving(blob);
    const [first, second] = await Promise.all([target.pull(peer, blob.facts), target.pull(peer, blob.facts)]);
    assert.equal(first, second);
    assert.deepEqual(asked, [{ start: 0, end: 300_000 }]);
    assert.ok((await readBack(harness.store, blob.facts.blobId)).equals(blob.bytes));
  });

  test("a blob that is here already is not copied again", async () => {
    const blob = blobOf(300_000);
    const { asked, target } = serving(blob);
    const staged = await deposit(target, blob);
    assert.equal(await target.pull(peer, blob.facts), staged);
    assert.deepEqual(asked, []);
  });

  test("a blob that somebody else is storing is not called here before it is durable", async () => {
    const blob = blobOf(1000);
    const { target } = serving(blob);
    const renamed = Promise.withResolvers<void>();
    const mayEnd = Promise.withResolvers<void>();
    const ended: string[] = [];
    disk.before = async ({ operation, path }) => {
      if (operation !== "sync-directory" || !path.endsWith(blob.facts.blobId.slice(0, 2))) return;
      renamed.resolve();
      await mayEnd.promise;
      ended.push("synced");
    };
    const storing = target.storeSmall([blob]);
    await renamed.promise;
    const pulling = target.pull(peer, blob.facts).then(() => ended.push("pulled"));
    await readBack(harness.store, blob.facts.blobId); // it can be read already
    await readBack(harness.store, blob.facts.blobId);
    mayEnd.resolve();
    await Promise.all([storing, pulling]);
    assert.deepEqual(ended, ["synced", "pulled"]);
  });

  for (const where of ["header", "bytes", "table"] as const)
    test(`a replica with a damaged ${where} does not count as being here: it is replaced`, async () => {
      const blob = blobOf(300_000);
      const { asked, target } = serving(blob);
      const damaged = await deposit(target, blob);
      await harness.damage(blob.facts.blobId, where);
      assert.ok((await target.pull(peer, blob.facts)) > damaged);
      assert.equal(asked.length, 1);
      assert.ok((await readBack(harness.store, blob.facts.blobId)).equals(blob.bytes));
    });

  test("wrong bytes, a broken connection and a refusal keep nothing, and the next pull starts anew", async () => {
    const blob = blobOf(300_000);
    const failures: (() => AsyncIterable<Uint8Array>)[] = [
      () => cut(Buffer.alloc(300_000)),
      () => cut(blob.bytes.subarray(0, 1000)),
      async function* () {
        yield blob.bytes.subarray(0, 100_000);
        throw new DepositoError("peer-unreachable", "broken in the middle");
      },
    ];
    let at = 0;
    const target = holder({ peers: peersThatServe(async () => failures[at++]?.() ?? cut(blob.bytes)) });
    for (const code of ["digest-mismatch", "size-mismatch", "peer-unreachable"] as const)
      await rejectsWith(code, target.pull(peer, blob.facts));
    assert.equal(await harness.stagesOnDisk(), 0);
    await rejectsWith("blob-not-found", harness.store.open(blob.facts.blobId));
    await target.pull(peer, blob.facts);
    assert.ok((await readBack(harness.store, blob.facts.blobId)).equals(blob.bytes));
  });

  test("closing ends a pull under way through its signal", async () => {
    const blob = blobOf(300_000);
    const asked = Promise.withResolvers<void>();
    const peers = peersThatServe((_from, _blobId, _range, signal) => {
      asked.resolve();
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(new DepositoError("peer-unreachable", "aborted"))),
      );
    });
    const target = holder({ peers });
    const pulled = rejectsWith("peer-unreachable", target.pull(peer, blob.facts));
    await asked.promise;
    await target.close();
    await pulled;
    assert.equal(await harness.stagesOnDisk(), 0);
  });
});

describe("Local holder: a failed disk", () => {
  test("is told once, whichever call meets it", async () => {
    const failed: unknown[] = [];
    const target = holder({ onFatal: (error) => failed.push(error) });
    const blob = blobOf(10);
    await target.storeSmall([blob]);
    await target.discard([blob.facts.blobId]);
    await rejectsWith("blob-not-found", harness.store.open(blob.facts.blobId));
    disk.before = ({ operation }) => {
      if (operation === "sync-file") throw systemError("EIO");
    };
    await Promise.all([1, 2, 3].map(() => rejectsWith("storage-failed", target.storeSmall([blobOf(1)]))));
    await rejectsWith("storage-failed", target.openSink(newBlobId(), 1));
    await rejectsWith("storage-failed", target.discard([newBlobId()]));
    assert.equal(failed.length, 1);
  });
});

/** The store under test with some calls of its own. */
function watched(calls: Partial<BlobStore>): BlobStore {
  const { store } = harness;
  return {
    stage: (blobId, expectedBytes) => store.stage(blobId, expectedBytes),
    store: (blobs) => store.store(blobs),
    open: (blobId) => store.open(blobId),
    settled: (blobId) => store.settled(blobId),
    remove: (blobIds) => store.remove(blobIds),
    list: (after, limit) => store.list(after, limit),
    usage: () => store.usage(),
    close: () => store.close(),
    ...calls,
  };
}
