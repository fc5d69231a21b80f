import { type NodeId, parseReplicaCount, type ReplicaCount } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { growHolders, trimHolders } from "./holders.ts";
import { storingMembers } from "./members.ts";
import { refuse } from "./preconditions.ts";
import type { FileRecord, Holder, MemberRecord, Outcome } from "./types.ts";

/** Refuses a count that there are not enough members for; every member stores, until it leaves. */
export function refuseByCount(
  replicas: ReplicaCount | undefined,
  members: readonly MemberRecord[],
): Outcome | undefined {
  const most = storingMembers(members).length;
  if (replicas === undefined || replicas <= most) return undefined;
  return refuse(
    "replicas-out-of-range",
    `${replicas} replicas were asked for; 1 to ${most} are possible, the number of nodes that store`,
  );
}

/** The configured default, or as many as there are members if these are fewer: nobody asked for a number. */
export function defaultCount(defaultReplicas: ReplicaCount, members: readonly MemberRecord[]): ReplicaCount {
  const count = parseReplicaCount(Math.min(defaultReplicas, storingMembers(members).length));
  invariant(count !== undefined, () => `no default count for ${members.length} members`);
  return count;
}

/** How many copies must be durable before a deposit is acknowledged: more than half of those there can be. */
export function enoughCopies(replicas: number, members: readonly MemberRecord[]): number {
  return Math.floor(Math.min(replicas, storingMembers(members).length) / 2) + 1;
}

/** The holders of a file whose count becomes `replicas`; as they are, if that is its count already. */
export function recountHolders(
  record: FileRecord,
  replicas: ReplicaCount,
  ranking: readonly NodeId[],
  members: readonly MemberRecord[],
): readonly Holder[] {
  if (replicas === record.replicas) return record.holders;
  return growHolders(trimHolders(record.holders, replicas, members), replicas, ranking, members);
}
