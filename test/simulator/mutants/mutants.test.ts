import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { hunt } from "./hunt.ts";
import { mutants } from "./mutants.ts";

const nodeFolder = fileURLToPath(new URL("../../../node/", import.meta.url));

test("Mutants: every line that one changes is in the code, once", () => {
  for (const { name, edits } of mutants)
    for (const { file, from } of edits) {
      const times = readFileSync(`${nodeFolder}${file}`, "utf8").split(from).length - 1;
      assert.equal(times, 1, `${name}: ${file}`);
    }
});

test("Mutants: one is planted and found", async () => {
  const early = mutants.find(({ name }) => name === "an acknowledgement leaves before the sync");
  assert.ok(early !== undefined);
  assert.notEqual(await hunt(early), undefined);
});
