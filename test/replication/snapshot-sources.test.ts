import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, type NodeId, term } from "../../node/base/ids.ts";
import { snapshotSources } from "../../node/replication/snapshot-sources.ts";

const members = ["n1", "n2", "n3", "n4", "n5"] as NodeId[];

/** The order in which `self` asks, when the nodes have applied so much; below zero: they are down. */
function order(self: string, leader: string | undefined, applied: Readonly<Record<string, number>>): string {
  const sources = snapshotSources({
    self: self as NodeId,
    leader: leader as NodeId | undefined,
    members,
    atLeast: logIndex(100),
    heard: (node) => {
      const index = applied[node];
      if (index === undefined) return undefined;
      const address = { host: "h", port: 1 };
      const usage = { files: 0, bytes: 0, freeBytes: 0, takesBytes: true, lostPromises: false };
      const at = { term: term(1), match: logIndex(Math.abs(index)), applied: logIndex(Math.abs(index)) };
      const status = { node, api: address, ...at, ...usage, checkpoint: undefined };
      return { status, lastSeenWallMs: 0, alive: index > 0 };
    },
  });
  return sources.join(" ");
}

test("Snapshot sources: followers that have applied enough come first, the leader after them, the others last", () => {
  assert.equal(order("n5", "n1", { n1: 200, n2: 99, n3: 100, n4: -200 }), "n3 n1 n2 n4");
});

test("Snapshot sources: with nobody else known to be of use, the leader is asked first", () => {
  assert.equal(order("n2", "n3", {}), "n3 n4 n5 n1");
  assert.equal(order("n2", undefined, {}), "n3 n4 n5 n1");
});

test("Snapshot sources: two who need one at the same time choose different sources", () => {
  const applied = { n1: 200, n2: 200, n3: 200 };
  assert.equal(order("n4", "n1", applied), "n2 n3 n1 n5");
  assert.equal(order("n2", "n1", { n1: 200, n3: 200, n4: 200, n5: 200 }), "n3 n4 n5 n1");
});
