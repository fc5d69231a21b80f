import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../../node/base/errors.ts";
import { newIncarnation } from "../../node/base/ids.ts";
import { foundingWrites } from "../../node/catalog/apply.ts";
import { decodeMembers } from "../../node/catalog/member-codec.ts";
import type { MemberFacts, MemberRecord } from "../../node/catalog/types.ts";
import { MemberRoll } from "../../node/replication/member-roll.ts";
import { groupOf } from "./support/node-disk.ts";

const founding = groupOf("n1", "n2");
const [n1, n2] = founding.members as [MemberFacts, MemberFacts];
const members = decodeMembers(foundingWrites(founding).writes[0]?.value ?? new Uint8Array());
const group = { clusterName: "test", members };

describe("member roll", () => {
  test("a node knows its own life, and the members as last applied", () => {
    const roll = new MemberRoll(n1, group);
    assert.equal(roll.life, 1);
    const more = members.map((member): MemberRecord => ({ ...member, state: "leaving" }));
    assert.equal(roll.update(more), true);
    assert.deepEqual(roll.members, more);
  });

  test("a node that is in the list no more, or only in another life, was removed", () => {
    const reborn = members.map((member) => (member.id === n2.id ? { ...member, life: 9 as never } : member));
    assert.equal(new MemberRoll(n2, group).update(members.slice(0, 1)), false);
    assert.equal(new MemberRoll(n2, group).update(reborn), false);
  });

  test("a node that starts with a catalog in which its life has ended is told how to come back", () => {
    const self = { ...n1, incarnation: newIncarnation() };
    assert.throws(
      () => new MemberRoll(self, group),
      (error: unknown) =>
        hasCode(error, "not-a-member") && /n1 was removed.*POST \/v1\/cluster\/nodes/.test(error.message),
    );
  });
});
