/**
 * Who belongs to the group, and who stands otherwise in consensus than the members want it.
 *
 *            add-member                      remove-member               forget-member
 *   no row ────────────► member: learner ──► voter ────────► leaving: learner ────────► no row
 *                        (`storage` stays one)               its replicas move to others
 *
 * The catalog decides and consensus follows: the leader makes the configuration what the members say.
 */
import type { LogIndex, NodeId } from "../base/ids.ts";
import { membersOf } from "../raft/configuration.ts";
import type { Configuration } from "../raft/types.ts";
import type { MemberRecord } from "./types.ts";

/** The members that may be given replicas: whoever is not leaving. */
export function storingMembers(members: readonly MemberRecord[]): readonly MemberRecord[] {
  return members.filter(({ state }) => state === "member");
}

/** The member in this life of its id; a command from or about another life is late and changes nothing. */
export function memberInLife(members: readonly MemberRecord[], node: NodeId, life: LogIndex): MemberRecord | undefined {
  return members.find((member) => member.id === node && member.life === life);
}

/** The place of a node in consensus; `moving` while a joint configuration takes it from one to another. */
export type Seat = "none" | "learner" | "moving" | "voter";

export function seatOf(node: NodeId, configuration: Configuration): Seat {
  const { voters, outgoing } = configuration;
  if (voters.includes(node) !== outgoing.includes(node) && outgoing.length > 0) return "moving";
  if (voters.includes(node)) return "voter";
  return membersOf(configuration).includes(node) ? "learner" : "none";
}

/** The nodes that are being added, promoted or removed. One at a time: while there is any, no other change may begin. */
export function unsettledNodes(members: readonly MemberRecord[], configuration: Configuration): readonly NodeId[] {
  const all = new Set([...members.map(({ id }) => id), ...membersOf(configuration)]);
  return [...all].filter((node) => {
    const member = members.find(({ id }) => id === node);
    return member?.state !== "member" || seatOf(node, configuration) !== wantedSeat(member);
  });
}

/** Where a node that stays belongs. */
export function wantedSeat({ role }: Pick<MemberRecord, "role">): Seat {
  return role === "voter" ? "voter" : "learner";
}
