import { Checker } from "./checker.ts";
import { Cluster, type ClusterSetup } from "./cluster.ts";
import { heartbeatMs, n1 } from "./support.ts";

/** A cluster whose every step is checked, that n1 leads, with an entry of its term committed and known to all. */
export function ledCluster(setup: Omit<ClusterSetup, "left" | "stepped"> = {}): Cluster {
  const cluster = checkedCluster(setup);
  cluster.elect(n1);
  cluster.run(3 * heartbeatMs);
  return cluster;
}

/** A cluster whose every step is checked against the safety properties of Raft. */
export function checkedCluster(setup: Omit<ClusterSetup, "left" | "stepped"> = {}): Cluster {
  const checker = new Checker();
  const cluster = new Cluster({
    ...setup,
    left: (flying) => checker.sent(flying),
    stepped: (node, input, effects) => checker.stepped(node, input, effects),
  });
  checker.nodes = cluster.nodes;
  return cluster;
}
