import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { hasCode } from "../../node/base/errors.ts";
import { type BlobId, newBlobId, type Sha256 } from "../../node/base/ids.ts";
import type { BlobStore, StoredBlob } from "../../node/storage/types.ts";
import { type CrashOptions, describeCrashes } from "./blob-store-crashes.ts";
import { blobOf, readBack, rejectsWith, stream, type TestBlob } from "./blobs/builders.ts";

/** A store under test, in a place of its own. */
export interface BlobStoreHarness {
  readonly store: BlobStore;
  /** Closes the store that is open and opens another on the same place, as the next boot. */
  reopen(): Promise<BlobStore>;
  /** Flips one bit on the disk: of what describes the blob, of its bytes, or of their checksums. */
  damage(blobId: BlobId, where: "header" | "bytes" | "table"): Promise<void>;
  /** Resolves when `usage` of the open store is complete. */
  counted(): Promise<void>;
  /** How many blobs are staged and neither committed nor removed, as the disk shows it. */
  stagesOnDisk(): Promise<number>;
  /** Closes the store and removes the place. */
  close(): Promise<void>;
}

const KiB = 1024;
const blockBytes = 64 * KiB;
const boundarySizes = [
  0,
  1,
  100,
  blockBytes - 1,
  blockBytes,
  blockBytes + 1,
  2 * blockBytes,
  8 * blockBytes,
  9 * blockBytes + 7,
];

/** What every blob store must do; `crash` for those that outlive their process. */
export function describeBlobStore(
  name: string,
  open: () => Promise<BlobStoreHarness>,
  crash: CrashOptions | undefined,
): void {
  describe(`Blob store (${name})`, () => {
    let harness: BlobStoreHarness;
    let store: BlobStore;
    before(async () => {
      harness = await open();
      store = harness.store;
    });
    after(() => harness.close());
    const current = () => store;
    const reopen = async () => {
      store = await harness.reopen();
    };

    describeWriting(current, () => harness);
    describeReading(current);
    describeDamage(current, () => harness);
    describeNames(current, () => harness);
    describeReopening(current, () => harness, reopen);
    if (crash !== undefined) describeCrashes(crash);
  });
}

function describeWriting(store: () => BlobStore, harness: () => BlobStoreHarness): void {
  for (const size of boundarySizes)
    test(`a blob of ${size} bytes comes back bit for bit, streamed or stored`, async () => {
      const [streamed, stored] = [blobOf(size), blobOf(size)];
      await stream(store(), streamed);
      await store().store([stored]);
      for (const { facts, bytes } of [streamed, stored])
        assert.ok((await readBack(store(), facts.blobId)).equals(bytes), `${size} bytes`);
    });

  test("any cutting into chunks gives the same blob", async () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 90_000, size: "max" }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(chunks, async (parts) => {
        const blob = blobOf(Buffer.concat(parts));
        const writer = await store().stage(blob.facts.blobId, undefined);
        for (const part of parts) await writer.write(part);
        await writer.commit(blob.facts);
        assert.ok((await readBack(store(), blob.facts.blobId)).equals(blob.bytes));
      }),
      { numRuns: 25 },
    );
  });

  test("nothing is visible before commit", async () => {
    const blob = blobOf(200_000);
    const writer = await store().stage(blob.facts.blobId, undefined);
    await writer.write(blob.bytes);
    await rejectsWith("blob-not-found", store().open(blob.facts.blobId));
    await writer.commit(blob.facts);
    assert.ok((await readBack(store(), blob.facts.blobId)).equals(blob.bytes));
  });

  test("a wrong digest or size at commit keeps nothing", async () => {
    for (const [code, wrong] of [
      ["digest-mismatch", { sha256: "0".repeat(64) as Sha256 }],
      ["size-mismatch", { sizeBytes: 3 }],
    ] as const) {
      const blob = blobOf(100_000);
      const writer = await store().stage(blob.facts.blobId, 100_000);
      await writer.write(blob.bytes);
      await rejectsWith(code, writer.commit({ ...blob.facts, ...wrong }));
      await rejectsWith("blob-not-found", store().open(blob.facts.blobId));
      assert.equal(await harness().stagesOnDisk(), 0);
    }
  });

  test("a wrong digest among stored blobs is told of that one only", async () => {
    const [first, wrong, last] = [blobOf(10), blobOf(10), blobOf(10)];
    const results = await store().store([first, { ...wrong, bytes: Buffer.alloc(10) }, last]);
    assert.deepEqual(results[1], { failed: "digest-mismatch" });
    assert.equal((results[0] as StoredBlob).blobId, first.facts.blobId);
    assert.ok((await readBack(store(), last.facts.blobId)).equals(last.bytes));
    await rejectsWith("blob-not-found", store().open(wrong.facts.blobId));
    assert.equal(await harness().stagesOnDisk(), 0);
  });

  test("cancel keeps nothing, may be repeated, and does nothing after commit", async () => {
    const [given, kept] = [blobOf(100_000), blobOf(100_000)];
    const writer = await store().stage(given.facts.blobId, undefined);
    const written = writer.write(given.bytes);
    await Promise.all([writer.cancel(), writer.cancel(), written]);
    await writer.cancel();
    await rejectsWith("upload-aborted", writer.commit(given.facts));
    await rejectsWith("blob-not-found", store().open(given.facts.blobId));

    const committed = await store().stage(kept.facts.blobId, undefined);
    await committed.write(kept.bytes);
    await Promise.all([committed.commit(kept.facts), committed.cancel()]);
    await committed.cancel();
    assert.ok((await readBack(store(), kept.facts.blobId)).equals(kept.bytes));
    assert.equal(await harness().stagesOnDisk(), 0);
  });

  test("staged numbers grow with every commit", async () => {
    const first = await stream(store(), blobOf(5));
    const [second] = await store().store([blobOf(5)]);
    const third = await stream(store(), blobOf(5));
    assert.ok(first.staged < (second as StoredBlob).staged);
    assert.ok((second as StoredBlob).staged < third.staged);
  });

  test("a hundred writers, readers and removers at once do not disturb each other", async () => {
    const blobs = Array.from({ length: 100 }, (_, at) => blobOf((at * 7919) % 150_000));
    await Promise.all(
      blobs.map(async (blob, at) => {
        await (at % 2 === 0 ? stream(store(), blob, 10_000) : store().store([blob]));
        const reads = [readBack(store(), blob.facts.blobId), readBack(store(), blob.facts.blobId)];
        for (const bytes of await Promise.all(reads)) assert.ok(bytes.equals(blob.bytes));
        if (at % 3 === 0) await store().remove([blob.facts.blobId]);
      }),
    );
    for (const [at, { facts }] of blobs.entries())
      if (at % 3 === 0) await rejectsWith("blob-not-found", store().open(facts.blobId));
      else assert.equal((await readBack(store(), facts.blobId)).length, facts.sizeBytes);
  });

  test("the same blob stored many times at once is one blob", async () => {
    const blob = blobOf(1000);
    await harness().counted();
    const before = store().usage();
    await Promise.all([store().store([blob, blob]), store().store([blob]), stream(store(), blob)]);
    assert.deepEqual(store().usage(), { files: before.files + 1, bytes: before.bytes + 1000 });
    assert.ok((await readBack(store(), blob.facts.blobId)).equals(blob.bytes));
  });
}

function describeReading(store: () => BlobStore): void {
  test("any range equals the slice", async () => {
    const blobs = await Promise.all(
      [...boundarySizes, 20 * blockBytes + 3].map(async (size) => {
        const blob = blobOf(size);
        await stream(store(), blob, blockBytes);
        return blob;
      }),
    );
    const near = fc.oneof(
      fc.nat(21 * blockBytes),
      fc.nat(20).map((block) => block * blockBytes),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...blobs), near, near, async ({ facts, bytes }, a, b) => {
        const [start, end] = [Math.min(a, b, bytes.length), Math.min(Math.max(a, b), bytes.length)];
        const part = await readBack(store(), facts.blobId, { start, end });
        assert.ok(part.equals(bytes.subarray(start, end)), `[${start}, ${end}) of ${bytes.length}`);
      }),
      { numRuns: 150 },
    );
  });

  test("a range that does not fit is refused", async () => {
    const blob = blobOf(10);
    await store().store([blob]);
    for (const range of [
      { start: 0, end: 11 },
      { start: -1, end: 5 },
      { start: 5, end: 4 },
      { start: 0.5, end: 5 },
    ]) {
      const reader = await store().open(blob.facts.blobId);
      assert.throws(
        () => reader.read(range),
        (error) => hasCode(error, "range-not-satisfiable"),
      );
      await reader.close();
    }
  });

  test("chunks are 1 MiB at most, and 48 MiB pass through in bounded memory", async () => {
    const part = blobOf(1024 * KiB).bytes;
    const whole = Buffer.alloc(48 * part.length, part);
    const facts = { blobId: newBlobId(), sizeBytes: whole.length, sha256: hash("sha256", whole, "hex") as Sha256 };
    const writer = await store().stage(facts.blobId, undefined);
    for (let at = 0; at < 48; at += 1) await writer.write(part);
    await writer.commit(facts);
    const reader = await store().open(facts.blobId);
    let held = 0;
    let sizeBytes = 0;
    for await (const chunk of reader.read({ start: 0, end: facts.sizeBytes })) {
      assert.ok(chunk.length <= 1024 * KiB && chunk.buffer.byteLength <= 1100 * KiB);
      assert.ok(whole.subarray(sizeBytes, sizeBytes + chunk.length).equals(chunk));
      sizeBytes += chunk.length;
      held = Math.max(held, chunk.buffer.byteLength);
    }
    assert.equal(sizeBytes, facts.sizeBytes);
    await store().remove([facts.blobId]);
  });

  test("a reader outlives the removal of its blob", async () => {
    const blob = blobOf(300_000);
    await stream(store(), blob);
    const reader = await store().open(blob.facts.blobId);
    await store().remove([blob.facts.blobId]);
    const chunks: Uint8Array[] = [];
    for await (const chunk of reader.read({ start: 0, end: 300_000 })) chunks.push(chunk);
    assert.ok(Buffer.concat(chunks).equals(blob.bytes));
  });
}

function describeDamage(store: () => BlobStore, harness: () => BlobStoreHarness): void {
  for (const size of [1, 5000, blockBytes, 40 * blockBytes + 9])
    for (const where of ["header", "bytes", "table"] as const)
      test(`a flipped bit in the ${where} of ${size} bytes is never served`, async () => {
        const blob = blobOf(size);
        await stream(store(), blob);
        await harness().damage(blob.facts.blobId, where);
        const served: Uint8Array[] = [];
        const read = async () => {
          const reader = await store().open(blob.facts.blobId);
          for await (const chunk of reader.read({ start: 0, end: size })) served.push(chunk);
        };
        await rejectsWith("blob-damaged", read());
        const prefix = Buffer.concat(served);
        assert.ok(prefix.length < size && prefix.equals(blob.bytes.subarray(0, prefix.length)));
      });

  test("a damaged blob is whole again once it is stored anew", async () => {
    const blob = blobOf(blockBytes);
    await store().store([blob]);
    await harness().damage(blob.facts.blobId, "bytes");
    await rejectsWith("blob-damaged", readBack(store(), blob.facts.blobId));
    await stream(store(), blob);
    assert.ok((await readBack(store(), blob.facts.blobId)).equals(blob.bytes));
  });
}

function describeNames(store: () => BlobStore, harness: () => BlobStoreHarness): void {
  test("remove is durable, counted once, and fine for a blob that is not there", async () => {
    const [kept, removed] = [blobOf(10), blobOf(20)];
    await store().store([kept, removed]);
    await harness().counted();
    const before = store().usage();
    await Promise.all([store().remove([removed.facts.blobId, newBlobId()]), store().remove([removed.facts.blobId])]);
    await store().remove([removed.facts.blobId]);
    await store().remove([]);
    await rejectsWith("blob-not-found", store().open(removed.facts.blobId));
    assert.ok((await readBack(store(), kept.facts.blobId)).equals(kept.bytes));
    assert.deepEqual(store().usage(), { files: before.files - 1, bytes: before.bytes - 20 });
  });

  test("list goes through every blob in id order, whatever the page size", async () => {
    const stored = await store().store(Array.from({ length: 40 }, (_, at) => blobOf(at)));
    const all = await store().list(undefined, 10_000);
    const ids = all.map((blob) => blob.blobId);
    assert.deepEqual(ids, [...ids].sort());
    for (const blob of stored)
      assert.deepEqual(
        all.find(({ blobId }) => blobId === (blob as StoredBlob).blobId),
        blob,
      );
    for (const limit of [1, 7]) {
      const paged: BlobId[] = [];
      for (let page = await store().list(undefined, limit); page.length > 0; ) {
        assert.ok(page.length <= limit);
        paged.push(...page.map((blob) => blob.blobId));
        page = await store().list(paged.at(-1), limit);
      }
      assert.deepEqual(paged, ids);
    }
  });
}

function describeReopening(store: () => BlobStore, harness: () => BlobStoreHarness, reopen: () => Promise<void>): void {
  test("a reopened store has the committed blobs, counted, and forgets the staged ones", async () => {
    const kept: TestBlob[] = [blobOf(0), blobOf(1000), blobOf(200_000)];
    await store().store(kept);
    const lost = blobOf(200_000);
    const writer = await store().stage(lost.facts.blobId, undefined);
    await writer.write(lost.bytes);
    await harness().counted();
    const usage = store().usage();
    const { staged } = await stream(store(), blobOf(0));
    await reopen();
    await harness().counted();
    assert.deepEqual(store().usage(), { files: usage.files + 1, bytes: usage.bytes });
    for (const { facts, bytes } of kept) assert.ok((await readBack(store(), facts.blobId)).equals(bytes));
    await rejectsWith("blob-not-found", store().open(lost.facts.blobId));
    assert.equal(await harness().stagesOnDisk(), 0);
    assert.ok((await stream(store(), blobOf(0))).staged > staged, "staged numbers grow across a restart");
  });

  test("a writer whose store was closed keeps nothing", async () => {
    const blob = blobOf(10);
    const writer = await store().stage(blob.facts.blobId, undefined);
    await writer.write(blob.bytes);
    const before = store();
    await reopen();
    await assert.rejects(writer.commit(blob.facts));
    await assert.rejects(before.open(blob.facts.blobId));
    await rejectsWith("blob-not-found", store().open(blob.facts.blobId));
  });
}
