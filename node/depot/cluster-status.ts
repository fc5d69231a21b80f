import { readMeta } from "../catalog/meta.ts";
import type { DepotOptions } from "./options.ts";
import type { ClusterStatus } from "./types.ts";

/** How the cluster looks from this node, without asking anyone: it answers in a minority too. */
export function clusterStatus({ self, replication, gossip }: DepotOptions): ClusterStatus {
  const { leader, term, commitIndex } = replication.raft();
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
        state: isUp ? "up" : heard === undefined ? "unknown" : "down",
        status: heard?.status,
        lastSeenWallMs: heard?.lastSeenWallMs,
      };
    }),
    totals: replication.totals(),
    trouble: replication.trouble(),
  };
}
