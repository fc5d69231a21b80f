import { seatOf } from "../catalog/members.ts";
import { readMeta } from "../catalog/meta.ts";
import type { MemberRecord } from "../catalog/types.ts";
import type { Configuration } from "../raft/types.ts";
import type { DepotOptions } from "./options.ts";
import type { ClusterStatus, Membership } from "./types.ts";

/** How the cluster looks from this node, without asking anyone: it answers in a minority too. */
export function clusterStatus({ self, replication, gossip }: DepotOptions): ClusterStatus {
  const { leader, term, commitIndex } = replication.raft();
  const configuration = replication.configuration();
  return {
    cluster: readMeta(replication.catalog).clusterName,
    leader,
    term,
    commitIndex,
    nodes: replication.members().map((member) => {
      const heard = gossip.of(member.id);
      const isUp = member.id === self || heard?.alive === true;
      return {
        member,
        membership: membershipOf(member, configuration),
        state: isUp ? "up" : heard === undefined ? "unknown" : "down",
        status: heard?.status,
        lastSeenWallMs: heard?.lastSeenWallMs,
      };
    }),
    totals: replication.totals(),
    trouble: replication.trouble(),
  };
}

/** What a member is now, whatever it is to become. */
export function membershipOf({ id, state }: MemberRecord, configuration: Configuration): Membership {
  if (state !== "member") return "leaving";
  return seatOf(id, configuration) === "voter" ? "voter" : "learner";
}
