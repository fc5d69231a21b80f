import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type NodeId, staged } from "../../node/base/ids.ts";
import { countPresent, growHolders, settleHolders, trimHolders } from "../../node/catalog/holders.ts";
import { readMembers } from "../../node/catalog/tables.ts";
import type { Holder } from "../../node/catalog/types.ts";
import { count, founding, nodes, TestCatalog } from "./fixture.ts";

const members = readMembers(new TestCatalog(founding(nodes(6))));

function holders(...texts: string[]): Holder[] {
  return texts.map((text) => {
    const node = text.replace("?", "") as NodeId;
    return text.endsWith("?") ? { node, state: "missing" } : { node, state: "present", staged: staged(1) };
  });
}

test("Holders: while too few are present, none of them is dropped, and only wanted missing ones stay", () => {
  assert.deepEqual(trimHolders(holders("n1?", "n2", "n3?", "n4?"), 3, members), holders("n1?", "n2", "n3?"));
});

test("Holders: once enough are present, the first ones stay and everything else goes", () => {
  assert.deepEqual(trimHolders(holders("n1?", "n2", "n3", "n4"), 2, members), holders("n2", "n3"));
});

const anyHolders = fc
  .uniqueArray(fc.integer({ min: 1, max: 6 }))
  .chain((numbers) => fc.tuple(...numbers.map((n) => fc.boolean().map((present) => (present ? `n${n}` : `n${n}?`)))))
  .map((texts) => holders(...texts));

test("Holders: trimming never leaves fewer present than before and wanted, and never more holders than wanted", () => {
  fc.assert(
    fc.property(anyHolders, fc.integer({ min: 1, max: 6 }), (before, wanted) => {
      const after = trimHolders(before, wanted, members);
      assert.equal(countPresent(after), Math.min(countPresent(before), wanted));
      assert.equal(after.length, Math.min(before.length, wanted));
      assert.deepEqual(
        after,
        before.filter((holder) => after.includes(holder)),
      );
    }),
  );
});

test("Holders: growing keeps what is there and reaches the wanted number with distinct members", () => {
  const ranking = fc.shuffledSubarray(["n1", "n2", "n3", "n4", "n5", "n6", "n9"] as NodeId[]);
  fc.assert(
    fc.property(anyHolders, fc.integer({ min: 1, max: 6 }), ranking, (before, wanted, ranked) => {
      const after = growHolders(before, wanted, ranked, members);
      assert.deepEqual(after.slice(0, before.length), before);
      assert.equal(after.length, Math.max(before.length, wanted));
      assert.equal(new Set(after.map(({ node }) => node)).size, after.length);
      const added = after.slice(before.length).map(({ node }) => node);
      const free = ranked.filter((node) => node !== "n9" && !before.some((holder) => holder.node === node));
      assert.deepEqual(added.slice(0, free.length), free.slice(0, added.length));
    }),
  );
});

test("Holders: what is not made yet goes to those ranked, and without a ranking stays with those who were asked", () => {
  const settle = (ranking: readonly string[], ...texts: string[]) =>
    settleHolders({ holders: holders(...texts), replicas: count(2) }, ranking as NodeId[], members);
  assert.deepEqual(settle(["n3"], "n1?", "n2"), holders("n2", "n3?"));
  assert.deepEqual(settle(["n2", "n1", "n3"], "n1?", "n2"), holders("n2", "n1?"));
  assert.deepEqual(settle([], "n4?", "n2"), holders("n2", "n4?"));
  assert.deepEqual(settle(["n3"], "n1", "n2"), holders("n1", "n2"), "what is made stays");
});
