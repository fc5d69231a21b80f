import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { digestHex } from "../../node/catalog/digest.ts";
import { countPresent } from "../../node/catalog/holders.ts";
import type { Entry } from "../../node/raft/types.ts";
import { allFiles, checkCatalog } from "./checker.ts";
import { ann, bob, founding, TestCatalog } from "./fixture.ts";
import { anyWalk, commandOf, walkMembers } from "./random-commands.ts";

const firstSerial = 1000;

function newCatalog(): TestCatalog {
  return new TestCatalog(founding(walkMembers), [ann, bob]);
}

test("Invariants: counters, totals, digest and replica rows always agree with the records", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(anyWalk({ withLoss: true }), (walk) => {
      const catalog = newCatalog();
      for (const [i, step] of walk.entries()) {
        const outcome = catalog.apply(commandOf(catalog, step, firstSerial + i));
        checkCatalog(catalog);
        const what =
          outcome.type === "deposited" ? outcome.how : outcome.type === "refused" ? outcome.code : outcome.type;
        seen.set(what, (seen.get(what) ?? 0) + 1);
      }
    }),
    { numRuns: 150 },
  );
  // A walk that never meets an outcome proves nothing about it.
  for (const what of ["created", "replaced", "replicas-changed", "unchanged", "edited", "done", "bytes-needed"])
    assert.ok(seen.has(what), what);
  for (const what of ["precondition-failed", "file-not-found", "replicas-out-of-range", "behind-fence"])
    assert.ok(seen.has(what), what);
});

test("Invariants: add before drop: verified replicas never fall below the smaller of old and new count", () => {
  let lowered = 0;
  fc.assert(
    fc.property(anyWalk({ withLoss: false }), (walk) => {
      const catalog = newCatalog();
      for (const [i, step] of walk.entries()) {
        const before = allFiles(catalog);
        catalog.apply(commandOf(catalog, step, firstSerial + i));
        for (const file of allFiles(catalog)) {
          const former = before.find(({ blob }) => blob.blobId === file.blob.blobId);
          if (former === undefined) continue;
          const enough = Math.min(former.replicas, file.replicas);
          assert.ok(countPresent(file.holders) >= Math.min(countPresent(former.holders), enough));
          if (countPresent(file.holders) < countPresent(former.holders)) lowered++;
        }
      }
    }),
    { numRuns: 150 },
  );
  assert.ok(lowered > 0, "no walk dropped a present replica");
});

test("Determinism: however entries are cut into batches, rows, digest and outcomes are the same", () => {
  fc.assert(
    fc.property(anyWalk({ withLoss: true }), fc.array(fc.integer({ min: 1, max: 9 })), (walk, cuts) => {
      const oneByOne = newCatalog();
      const start = new Map(oneByOne.rows);
      const startMeta = oneByOne.meta;
      const entries: Entry[] = [];
      const outcomes = walk.map((step, i) => {
        const entry = oneByOne.entry(commandOf(oneByOne, step, firstSerial + i));
        entries.push(entry);
        return oneByOne.applyEntries([entry]).results;
      });
      const batched = newCatalog();
      batched.rows.clear();
      for (const [key, row] of start) batched.rows.set(key, row);
      batched.meta = startMeta;
      const results: unknown[] = [];
      for (let at = 0, i = 0; at < entries.length; i++) {
        const size = cuts[i % Math.max(1, cuts.length)] ?? entries.length;
        results.push(...batched.applyEntries(entries.slice(at, at + size)).results);
        at += size;
      }
      assert.deepEqual(results, outcomes.flat());
      assert.equal(digestHex(batched.meta.digest), digestHex(oneByOne.meta.digest));
      assert.deepEqual(contents(batched), contents(oneByOne));
      checkCatalog(batched);
    }),
    { numRuns: 100 },
  );
});

function contents(catalog: TestCatalog): readonly string[] {
  return [...catalog.rows.values()]
    .toSorted((a, b) => Buffer.compare(a.key, b.key))
    .map(({ key, value }) => `${Buffer.from(key).toString("hex")} ${Buffer.from(value).toString("hex")}`);
}
