import { DepositoError } from "../base/errors.ts";
import type { Incarnation, LogIndex, NodeId } from "../base/ids.ts";
import type { MemberRecord } from "../catalog/types.ts";

/** The members as this node has applied them, and its own place among them. */
export class MemberRoll {
  readonly #self: NodeId;
  /** This node's own life: an id may be removed, and added again for another data directory. */
  readonly life: LogIndex;
  #members: readonly MemberRecord[];

  /** @throws {DepositoError} `not-a-member` when the list says that this node was removed. */
  constructor(
    self: { readonly id: NodeId; readonly incarnation: Incarnation },
    group: { readonly clusterName: string; readonly members: readonly MemberRecord[] },
  ) {
    const { clusterName, members } = group;
    const own = members.find(({ id, incarnation }) => id === self.id && incarnation === self.incarnation);
    if (own === undefined) throw removedError(self.id, clusterName);
    this.#self = self.id;
    this.life = own.life;
    this.#members = members;
  }

  get members(): readonly MemberRecord[] {
    return this.#members;
  }

  /** Takes in a newer list; false when this node is not in it any more. */
  update(members: readonly MemberRecord[]): boolean {
    this.#members = members;
    return members.some(({ id, life }) => id === this.#self && life === this.life);
  }
}

/** Why a node that was removed ends; who starts it again hears the same. */
export function removedError(self: NodeId, clusterName: string): DepositoError {
  return new DepositoError(
    "not-a-member",
    `node ${self} was removed from the cluster ${clusterName}: it ends, and its data directory is of no more use. ` +
      "To bring the node back, empty the directory, start it, and add it with POST /v1/cluster/nodes",
  );
}
