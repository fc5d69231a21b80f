import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { plantedBugs, runPlanted } from "../../scripts/planted-bugs.ts";

const root = join(import.meta.dirname, "..", "..");

test("The campaign finds reads without a barrier, says where to look, and ends with 1", async (t) => {
  const bug = plantedBugs.find(({ name }) => name === "reads without a barrier");
  assert.ok(bug);
  const options = ["--minutes", "0.25", "--nodes", "3", "--round-seconds", "15", "--seed", "1"];
  const { isFound, seconds, output } = await runPlanted(root, bug, options, t.signal);
  t.diagnostic(`${Math.round(seconds)} s`);
  const kept = /Kept in (\S+):/.exec(output)?.[1];
  if (kept !== undefined) rmSync(kept, { recursive: true });
  assert.ok(isFound, output);
  assert.match(output, /non-linearizable: shared\/r1/);
  assert.match(output, /--seed 1$/m);
});
