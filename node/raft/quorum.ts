import type { NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Configuration } from "./types.ts";

/** How many of `count` voters make a majority. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

/**
 * The largest value that a quorum has reached: with match indexes, what is replicated widely enough to commit
 * (Raft §5.3); with read rounds, the newest confirmed one. A joint configuration needs both majorities (§6).
 */
export function reachedByQuorum(
  configuration: Pick<Configuration, "voters" | "outgoing">,
  valueOf: (node: NodeId) => number,
): number {
  const { voters, outgoing } = configuration;
  invariant(voters.length > 0, () => "a configuration without voters");
  const incoming = reachedByMajority(voters, valueOf);
  return outgoing.length === 0 ? incoming : Math.min(incoming, reachedByMajority(outgoing, valueOf));
}

function reachedByMajority(voters: readonly NodeId[], valueOf: (node: NodeId) => number): number {
  const descending = voters.map(valueOf).sort((a, b) => b - a);
  const value = descending[majority(voters.length) - 1];
  invariant(value !== undefined, () => `no majority of ${voters.length} voters`);
  return value;
}

/** Whether those that `has` accepts are a quorum. */
export function isQuorum(
  configuration: Pick<Configuration, "voters" | "outgoing">,
  has: (node: NodeId) => boolean,
): boolean {
  return reachedByQuorum(configuration, (node) => (has(node) ? 1 : 0)) === 1;
}

export type VoteResult = "won" | "lost" | "pending";

/** Counts the answers so far, one per node however often it answered: `lost` once no quorum can come about any more. */
export function countVotes(
  configuration: Pick<Configuration, "voters" | "outgoing">,
  votes: ReadonlyMap<NodeId, boolean>,
): VoteResult {
  if (isQuorum(configuration, (node) => votes.get(node) === true)) return "won";
  return isQuorum(configuration, (node) => votes.get(node) !== false) ? "pending" : "lost";
}
