import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../support/seeded-random.ts";
import { NamePool } from "./name-pool.ts";

const random = seededRandom(1);
const pool = () => new NamePool({ prefix: "r1", width: 1, maxOperations: 5, maxUnknown: 2 });

test("Name pool: a name retires after its operations, or earlier after a few unknown outcomes", () => {
  const names = pool();
  const first = names.pick(random);
  for (let count = 0; count < 4; count++) names.note(first, false);
  assert.equal(names.pick(random), first);
  names.note(first, false);
  const second = names.pick(random);
  assert.notEqual(second, first);
  names.note(second, true);
  names.note(second, true);
  assert.notEqual(names.pick(random), second);
});

test("Name pool: operations that end after their name retired change nothing, and no name is forgotten", () => {
  const names = pool();
  const first = names.pick(random);
  for (let count = 0; count < 9; count++) names.note(first, true);
  assert.equal(names.all.length, 2);
  assert.equal(names.all[0], first);
});
