import assert from "node:assert/strict";
import { test } from "node:test";
import { Coverage } from "./coverage.ts";

test("Coverage: faults count as a pair when one begins before the other has ended, and only then", () => {
  const coverage = new Coverage(["kill", "pause", "cut"]);
  coverage.began("pause", 0)(100);
  coverage.began("kill", 50)(60);
  coverage.began("kill", 55)(58);
  coverage.began("cut", 101)(200);
  assert.deepEqual(
    [...coverage.pairs()],
    [
      ["kill + pause", 2],
      ["kill + kill", 1],
    ],
  );
});

test("Coverage: one that has not ended overlaps with all that come, in whatever order they are told", () => {
  const coverage = new Coverage(["kill", "cut"]);
  coverage.began("cut", 500)(600);
  coverage.began("kill", 1);
  assert.deepEqual([...coverage.pairs()], [["kill + cut", 1]]);
});

test("Coverage: a fault that never struck has its row too, and what the rules forbade is no strike", () => {
  const coverage = new Coverage(["kill", "cut"]);
  coverage.began("kill", 0)(2000);
  coverage.forbidden("cut");
  assert.deepEqual(coverage.rows(), [
    { fault: "kill", times: 1, seconds: 2, forbidden: 0 },
    { fault: "cut", times: 0, seconds: 0, forbidden: 1 },
  ]);
  assert.equal(coverage.count, 1);
});
