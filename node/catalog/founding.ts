import { type LogIndex, logIndex, staged, term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Configuration } from "../raft/types.ts";
import { DigestAccumulator } from "./digest.ts";
import { membersKey } from "./keys.ts";
import { encodeMembers } from "./member-codec.ts";
import { type CatalogMeta, metaWrite, readMeta } from "./meta.ts";
import { readMembers } from "./tables.ts";
import { noTotals } from "./totals.ts";
import type { CatalogView, Founding, MemberRecord, Write } from "./types.ts";

/**
 * The first catalog of a group, the same on every seed: its members, as if a snapshot at index 1 of term 1. Members with
 * the role `storage` are learners.
 */
export function foundingWrites(founding: Founding): { readonly writes: readonly Write[]; readonly meta: CatalogMeta } {
  const members = founders(founding, logIndex(1));
  const value = encodeMembers(members);
  const digest = new DigestAccumulator();
  digest.add(membersKey, value);
  const meta: CatalogMeta = {
    clusterId: founding.clusterId,
    clusterName: founding.clusterName,
    applied: { index: logIndex(1), term: term(1) },
    configuration: configurationOf(members),
    digest: digest.value,
    totals: noTotals,
  };
  return { writes: [{ key: membersKey, value }, metaWrite(meta)], meta };
}

/**
 * What makes the catalog of a backup the first one of a new group: its index goes on, so that versions do, but its members
 * begin another life. Nodes of the former group that are not in the new one are given up, so that others take their replicas.
 */
export function restoredWrites(backup: CatalogView, founding: Founding): readonly Write[] {
  const before = readMeta(backup);
  const former = readMembers(backup);
  const present = founders(founding, before.applied.index);
  const gone = former
    .filter(({ id }) => !present.some((member) => member.id === id))
    .map((member): MemberRecord => ({ ...member, state: "lost" }));
  const value = encodeMembers(sorted([...present, ...gone]));
  const digest = new DigestAccumulator(before.digest);
  digest.remove(membersKey, encodeMembers(former));
  digest.add(membersKey, value);
  const { clusterId, clusterName } = founding;
  const configuration = configurationOf(present);
  return [
    { key: membersKey, value },
    metaWrite({ ...before, clusterId, clusterName, configuration, digest: digest.value }),
  ];
}

function founders(founding: Founding, life: LogIndex): readonly MemberRecord[] {
  const members = founding.members.map(
    (facts): MemberRecord => ({ ...facts, state: "member", life, sweptUpTo: staged(0) }),
  );
  invariant(new Set(members.map(({ id }) => id)).size === members.length, () => "two founding members with one id");
  return sorted(members);
}

function sorted(members: readonly MemberRecord[]): readonly MemberRecord[] {
  return [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function configurationOf(members: readonly MemberRecord[]): Configuration {
  const idsOf = (role: MemberRecord["role"]) => members.filter((member) => member.role === role).map(({ id }) => id);
  const voters = idsOf("voter");
  invariant(voters.length > 0, () => `no voter among ${members.length} founding members`);
  return { voters, outgoing: [], learners: idsOf("storage"), learnersNext: [] };
}
