import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { logIndex, type NodeId, parseNodeId, term } from "../../node/base/ids.ts";
import type { CatalogMeta } from "../../node/catalog/apply.ts";
import type { Digest } from "../../node/catalog/digest.ts";
import { Checkpoints } from "../../node/replication/checkpoints.ts";

const [n2, n3] = ["n2", "n3"].map((id) => parseNodeId(id) as NodeId) as [NodeId, NodeId];
const ours = "00000001000000010000000100000001";
const theirs = "00000002000000020000000200000002";

function at(index: number, lane: number): CatalogMeta {
  const digest: Digest = [lane, lane, lane, lane];
  return { applied: { index: logIndex(index), term: term(1) }, digest } as CatalogMeta;
}

describe("checkpoints", () => {
  test("a digest is kept at multiples of 64 only, so that all nodes have one at the same indexes", () => {
    const checkpoints = new Checkpoints();
    assert.equal(checkpoints.nextAfter(logIndex(1)), 64);
    assert.equal(checkpoints.nextAfter(logIndex(64)), 128);
    checkpoints.record(at(63, 1));
    assert.equal(checkpoints.latest, undefined);
    checkpoints.record(at(64, 1));
    assert.deepEqual(checkpoints.latest, { index: 64, digest: ours });
  });

  test("equal digests agree; an index this node has no digest of is unknown", () => {
    const checkpoints = new Checkpoints();
    checkpoints.record(at(64, 1));
    assert.equal(checkpoints.compare(n2, { index: logIndex(64), digest: ours }, 2), "agree");
    assert.equal(checkpoints.compare(n2, { index: logIndex(128), digest: ours }, 2), "unknown");
  });

  test("one other node with another digest differs; a majority of one mind outvotes", () => {
    const checkpoints = new Checkpoints();
    checkpoints.record(at(64, 1));
    assert.equal(checkpoints.compare(n2, { index: logIndex(64), digest: theirs }, 2), "differ");
    assert.equal(checkpoints.compare(n2, { index: logIndex(64), digest: theirs }, 2), "differ", "said twice is once");
    assert.equal(checkpoints.compare(n3, { index: logIndex(64), digest: theirs }, 2), "outvoted");
  });

  test("two others of different minds do not outvote", () => {
    const checkpoints = new Checkpoints();
    checkpoints.record(at(64, 1));
    checkpoints.compare(n2, { index: logIndex(64), digest: theirs }, 2);
    assert.equal(checkpoints.compare(n3, { index: logIndex(64), digest: "f".repeat(32) }, 2), "differ");
  });

  test("in a group of two, one against one is no majority", () => {
    const checkpoints = new Checkpoints();
    checkpoints.record(at(64, 1));
    assert.equal(checkpoints.compare(n2, { index: logIndex(64), digest: theirs }, 1), "differ");
  });
});
