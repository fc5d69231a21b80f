import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { plantedBugs, withBug } from "../../scripts/planted-bugs.ts";

const root = join(import.meta.dirname, "..", "..");

test("Planted bugs: each fits the source as it is now", () => {
  for (const bug of plantedBugs) {
    const source = readFileSync(join(root, bug.file), "utf8");
    assert.notEqual(withBug(source, bug), source, bug.name);
  }
});

test("Planted bugs: one that fits nowhere, or in two places, is refused", () => {
  const bug = { name: "a bug", file: "a.ts", right: "right", wrong: "wrong" };
  assert.equal(withBug("it is right.", bug), "it is wrong.");
  assert.throws(() => withBug("it is left.", bug), /no more/);
  assert.throws(() => withBug("right, right.", bug), /more than once/);
});
