import assert from "node:assert/strict";
import type { NodeId } from "../../node/base/ids.ts";
import { decodeConfiguration } from "../../node/raft/configuration.ts";
import type { Configuration, Effects } from "../../node/raft/types.ts";
import type { SimNode } from "./sim-node.ts";

/** The configuration that was in force when this step began, by the node's own log. */
export function configurationBefore(node: SimNode, effects: Effects): Configuration {
  const appendedFrom = effects.append[0]?.index ?? Number.POSITIVE_INFINITY;
  const newest = node.memory.findLast(({ kind, index }) => kind === "configuration" && index < appendedFrom);
  return newest === undefined ? node.disk.configuration : decodeConfiguration(newest.data);
}

/** Counted anew, without the code under test. */
export function assertQuorum({ voters, outgoing }: Configuration, nodes: readonly NodeId[], what: string): void {
  for (const half of outgoing.length > 0 ? [voters, outgoing] : [voters]) {
    const counted = half.filter((voter) => nodes.includes(voter));
    assert.ok(counted.length * 2 > half.length, `${what} by ${counted.join(" ")} of ${half.join(" ")}`);
  }
}
