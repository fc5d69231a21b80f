import { DepositoError } from "../base/errors.ts";
import { parseReplicaCount, type ReplicaCount } from "../base/ids.ts";
import { storingMembers } from "../catalog/members.ts";
import type { MemberRecord } from "../catalog/types.ts";

/**
 * The replica count as a depositor gave it, undefined when he left it to the depot.
 * @throws {DepositoError} `replicas-out-of-range`, with the range in its message.
 */
export function parseCount(replicas: number | undefined, members: readonly MemberRecord[]): ReplicaCount | undefined {
  if (replicas === undefined) return undefined;
  const count = parseReplicaCount(replicas);
  const most = storingMembers(members).length;
  if (count !== undefined && count <= most) return count;
  const range = `1 to ${most} are possible, the number of nodes that store`;
  throw new DepositoError("replicas-out-of-range", `${replicas} replicas were asked for; ${range}`);
}
