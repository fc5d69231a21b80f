import type { LogIndex, NodeId } from "../base/ids.ts";
import type { Gossip } from "./types.ts";

export interface SourceChoice {
  readonly self: NodeId;
  readonly leader: NodeId | undefined;
  readonly members: readonly NodeId[];
  /** What a source must have applied. */
  readonly atLeast: LogIndex;
  readonly heard: Gossip["of"];
}

/**
 * Whom to ask for a snapshot, best first: followers that are known to have applied enough, then the leader, which has
 * enough to do already, then those that may be gone or behind. Each node begins its round at another one, so that two
 * who need a snapshot do not choose the same source.
 */
export function snapshotSources({ self, leader, members, atLeast, heard }: SourceChoice): readonly NodeId[] {
  const others = [...members.filter((id) => id > self), ...members.filter((id) => id < self)];
  const isReady = (node: NodeId): boolean => {
    const known = heard(node);
    return known?.alive === true && known.status.applied >= atLeast;
  };
  const rank = (node: NodeId): number => (node === leader ? 1 : isReady(node) ? 0 : 2);
  return others.sort((one, other) => rank(one) - rank(other));
}
