import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterMember } from "../support/cluster-member.ts";
import { DamageRules } from "./damage-rules.ts";

const end = (id: string, text: string) => ({ member: { id } as ClusterMember, text });

test("Damage rules: metadata may be damaged on a minority only", () => {
  assert.deepEqual(new DamageRules(["n1", "n2", "n3"]).victims, ["n3"]);
  assert.deepEqual(new DamageRules(["n1", "n2", "n3", "n4", "n5"]).victims, ["n4", "n5"]);
});

test("Damage rules: bytes that were struck are spared until an audit saw them whole", () => {
  const rules = new DamageRules(["n1", "n2", "n3"]);
  rules.strike("abc");
  assert.ok(rules.isStruck("abc"));
  rules.audited();
  assert.ok(!rules.isStruck("abc"));
});

test("Damage rules: a node may end by itself on a full or damaged disk, and never by a bug", () => {
  const rules = new DamageRules(["n1", "n2", "n3"]);
  const full = "n2 ended by itself: exit code 1 ENOSPC";
  assert.ok(!rules.allows(end("n2", full)));
  rules.diskFull("n2");
  assert.ok(rules.allows(end("n2", full)));
  assert.ok(!rules.allows(end("n1", full)));
  assert.ok(rules.allows(end("n3", "exit code 1 storage-failed")));
  assert.ok(!rules.allows(end("n3", "InvariantError: append of 3 after 7")));
});
