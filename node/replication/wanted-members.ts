/**
 * The next step by which consensus follows the members of the catalog; one thing at a time, in this order:
 *
 *   no seat yet ──► learner        leaving voter ──► learner        learner ──► voter        no member ──► no seat
 *
 * A node is a learner before it votes, and again after: whoever catches up, or hands its replicas on, is counted nowhere.
 */
import type { NodeId } from "../base/ids.ts";
import { seatOf, wantedSeat } from "../catalog/members.ts";
import type { MemberRecord } from "../catalog/types.ts";
import { isJoint, membersOf } from "../raft/configuration.ts";
import { isQuorum } from "../raft/quorum.ts";
import type { Configuration, WantedMembers } from "../raft/types.ts";

/** What to ask consensus for now; undefined when it is as it shall be, or must not be changed at this moment. */
export function nextMembers(
  members: readonly MemberRecord[],
  current: Configuration,
  isActive: (node: NodeId) => boolean,
): WantedMembers | undefined {
  if (isJoint(current)) return undefined;
  const { voters, learners } = current;
  const staying = members.filter(({ state }) => state === "member");
  const isWantedVoter = (node: NodeId) =>
    staying.some((member) => member.id === node && wantedSeat(member) === "voter");

  const newcomers = idsOf(staying).filter((node) => seatOf(node, current) === "none");
  if (newcomers.length > 0) return { voters, learners: [...learners, ...newcomers] };

  const demoted = voters.filter((node) => !isWantedVoter(node));
  const remaining = voters.filter(isWantedVoter);
  if (demoted.length > 0 && remaining.length > 0)
    return safely({ voters: remaining, learners: [...learners, ...demoted] }, isActive);
  const [promoted] = learners.filter(isWantedVoter);
  if (promoted !== undefined) {
    const rest = learners.filter((node) => node !== promoted);
    return safely({ voters: [...voters, promoted], learners: rest }, isActive);
  }
  const strangers = membersOf(current).filter((node) => !idsOf(members).includes(node));
  if (strangers.length > 0) return { voters, learners: learners.filter((node) => !strangers.includes(node)) };
  return undefined;
}

/** A change that those who answer could not decide would stop the group in the middle of it. */
function safely(wanted: WantedMembers, isActive: (node: NodeId) => boolean): WantedMembers | undefined {
  return isQuorum({ voters: wanted.voters, outgoing: [] }, isActive) ? wanted : undefined;
}

function idsOf(members: readonly MemberRecord[]): readonly NodeId[] {
  return members.map(({ id }) => id);
}
