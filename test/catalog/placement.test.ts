import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { NodeId } from "../../node/base/ids.ts";
import { type Candidate, rankNodes } from "../../node/catalog/placement.ts";

function candidate(node: string, weight: number, zone = "z", door = false): Candidate {
  return { node: node as NodeId, zone, weight, door };
}

/** How often each node is among the first `replicas` of many keys. */
function shares(candidates: readonly Candidate[], replicas: number, keys = 6000): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < keys; i++) {
    for (const node of rankNodes({ key: `file ${i}`, candidates }).slice(0, replicas))
      counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return new Map([...counts].map(([node, count]) => [node, count / keys]));
}

function assertNear(actual: number | undefined, expected: number, tolerance: number): void {
  assert.ok(Math.abs((actual ?? 0) - expected) < tolerance, `${actual} is not ${expected} ± ${tolerance}`);
}

const anyCandidates = fc.uniqueArray(
  fc.record({
    node: fc.constantFrom("n1", "n2", "n3", "n4", "n5", "n6", "n7").map((node) => node as NodeId),
    zone: fc.constantFrom("a", "b", "c"),
    weight: fc.integer({ min: 1, max: 10 ** 12 }),
    door: fc.constant(false),
  }),
  { selector: ({ node }) => node, minLength: 1 },
);

test("Placement: one replica falls on a node in proportion to its free space", () => {
  const byNode = shares([candidate("n1", 1e9), candidate("n2", 2e9), candidate("n3", 5e9)], 1);
  assertNear(byNode.get("n1"), 1 / 8, 0.02);
  assertNear(byNode.get("n2"), 2 / 8, 0.02);
  assertNear(byNode.get("n3"), 5 / 8, 0.02);
});

test("Placement: two of four equal nodes share the replicas equally", () => {
  const byNode = shares(
    ["n1", "n2", "n3", "n4"].map((node) => candidate(node, 7e9)),
    2,
  );
  for (const node of ["n1", "n2", "n3", "n4"]) assertNear(byNode.get(node), 1 / 2, 0.03);
});

test("Placement: every candidate is ranked once, the same whatever the order they are given in", () => {
  fc.assert(
    fc.property(fc.string(), anyCandidates, (key, candidates) => {
      const ranking = rankNodes({ key, candidates });
      assert.deepEqual(ranking.toSorted(), candidates.map(({ node }) => node).toSorted());
      assert.deepEqual(rankNodes({ key, candidates: candidates.toReversed() }), ranking);
    }),
  );
});

test("Placement: k replicas spread over as many zones as there are, and evenly over them", () => {
  fc.assert(
    fc.property(fc.string(), anyCandidates, fc.integer({ min: 1, max: 7 }), (key, candidates, k) => {
      const zoneOf = new Map(candidates.map(({ node, zone }) => [node, zone]));
      const chosen = rankNodes({ key, candidates }).slice(0, k);
      const taken = (zone: string): number => chosen.filter((node) => zoneOf.get(node) === zone).length;
      const zones = [...new Set(zoneOf.values())];
      assert.equal(new Set(chosen.map((node) => zoneOf.get(node))).size, Math.min(chosen.length, zones.length));
      for (const zone of zones) {
        const size = candidates.filter((each) => each.zone === zone).length;
        // A zone that has nodes left over is never two behind another one.
        if (taken(zone) < size) for (const other of zones) assert.ok(taken(other) <= taken(zone) + 1);
      }
    }),
  );
});

test("Placement: a node that goes gives away only its own replicas, one that comes takes at most one of a file", () => {
  fc.assert(
    fc.property(fc.string(), anyCandidates, fc.integer({ min: 1, max: 7 }), fc.nat(), (key, candidates, k, pick) => {
      const gone = candidates[pick % candidates.length];
      const before = rankNodes({ key, candidates }).slice(0, k);
      const after = rankNodes({ key, candidates: candidates.filter((each) => each !== gone) }).slice(0, k);
      const stays = before.filter((node) => node !== gone?.node);
      assert.deepEqual(
        stays.filter((node) => !after.includes(node)),
        [],
      );
    }),
    { numRuns: 500 },
  );
});

test("Placement: moving replicas is rare when a node is added: only what the newcomer takes", () => {
  const old = ["n1", "n2", "n3", "n4"].map((node) => candidate(node, 1e9));
  const grown = [...old, candidate("n5", 1e9)];
  let moved = 0;
  for (let i = 0; i < 3000; i++) {
    const [before] = rankNodes({ key: `file ${i}`, candidates: old });
    const [after] = rankNodes({ key: `file ${i}`, candidates: grown });
    if (before === after) continue;
    assert.equal(after, "n5");
    moved++;
  }
  assertNear(moved / 3000, 1 / 5, 0.03);
});

test("Placement: the door comes first while it is no fuller than the rest, and takes its turn when it is", () => {
  const rest = [candidate("n2", 10e9), candidate("n3", 10e9)];
  const first = (free: number): number => shares([candidate("n1", free, "z", true), ...rest], 1, 1000).get("n1") ?? 0;
  assert.equal(first(10e9), 1);
  assert.equal(first(9.5e9), 1);
  assertNear(first(5e9), 1 / 5, 0.05);
});

test("Placement: a full node comes last, even if it is the door and alone in its zone", () => {
  const candidates = [candidate("n1", 0, "a", true), candidate("n2", 1, "b"), candidate("n3", 5, "b")];
  for (let i = 0; i < 50; i++) assert.equal(rankNodes({ key: `${i}`, candidates }).at(-1), "n1");
  assert.deepEqual(rankNodes({ key: "x", candidates: [candidate("n1", 0, "a", true)] }), ["n1"]);
});

test("Placement: the door is one of its zone: the next replica goes to another zone", () => {
  const candidates = [candidate("n1", 5e9, "a", true), candidate("n2", 5e9, "a"), candidate("n3", 5e9, "b")];
  for (let i = 0; i < 50; i++) assert.deepEqual(rankNodes({ key: `${i}`, candidates }), ["n1", "n3", "n2"]);
});
