import { logIndex, staged, term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { DigestAccumulator } from "./digest.ts";
import { membersKey } from "./keys.ts";
import { encodeMembers } from "./member-codec.ts";
import { type CatalogMeta, metaWrite } from "./meta.ts";
import { noTotals } from "./totals.ts";
import type { Founding, MemberRecord, Write } from "./types.ts";

/**
 * The first catalog of a group, the same on every seed: its members, as if a snapshot at index 1 of term 1. Members with
 * the role `storage` are learners.
 */
export function foundingWrites(founding: Founding): { readonly writes: readonly Write[]; readonly meta: CatalogMeta } {
  const members = [...founding.members]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((facts): MemberRecord => ({ ...facts, state: "member", life: logIndex(1), sweptUpTo: staged(0) }));
  const voters = idsOf(members, "voter");
  invariant(voters.length > 0, () => `no voter among ${members.length} founding members`);
  invariant(new Set(members.map(({ id }) => id)).size === members.length, () => "two founding members with one id");
  const value = encodeMembers(members);
  const digest = new DigestAccumulator();
  digest.add(membersKey, value);
  const meta: CatalogMeta = {
    clusterId: founding.clusterId,
    clusterName: founding.clusterName,
    applied: { index: logIndex(1), term: term(1) },
    configuration: { voters, outgoing: [], learners: idsOf(members, "storage"), learnersNext: [] },
    digest: digest.value,
    totals: noTotals,
  };
  return { writes: [{ key: membersKey, value }, metaWrite(meta)], meta };
}

function idsOf(members: readonly MemberRecord[], role: MemberRecord["role"]): readonly MemberRecord["id"][] {
  return members.filter((member) => member.role === role).map(({ id }) => id);
}
