/**
 * How one configuration becomes another (Raft §6), one step at a time:
 *
 *   voters stay:    {1 2 3}, learners {}  ──────────────────────────────────────────►  {1 2 3}, learners {4}
 *   voters change:  {1 2 3}  ──►  joint {1 2 4} with outgoing {1 2 3}  ──committed──►  {1 2 4}
 */
import type { NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { isJoint, membersOf } from "./configuration.ts";
import type { Configuration, WantedMembers } from "./types.ts";

/** Whether the configuration, which is not joint, has exactly these members. */
export function isAsWanted(current: Configuration, wanted: WantedMembers): boolean {
  return isSame(current.voters, wanted.voters) && isSame(current.learners, wanted.learners);
}

/** The first entry on the way to what is wanted: all of it where the voters stay, the joint one where they change. */
export function firstStep(current: Configuration, wanted: WantedMembers): Configuration {
  invariant(!isJoint(current), () => "a change begins in the middle of another");
  checkWanted(wanted);
  const { voters, learners } = wanted;
  if (isSame(current.voters, voters)) return { voters, outgoing: [], learners, learnersNext: [] };
  const isStillVoting = (node: NodeId) => current.voters.includes(node);
  return {
    voters,
    outgoing: current.voters,
    learners: learners.filter((node) => !isStillVoting(node)),
    learnersNext: learners.filter(isStillVoting),
  };
}

/** The last entry of a change: the outgoing voters count no more. */
export function finalStep(joint: Configuration): Configuration {
  invariant(isJoint(joint), () => "a change ends that did not begin");
  const { voters, learners, learnersNext } = joint;
  return { voters, outgoing: [], learners: [...learners, ...learnersNext], learnersNext: [] };
}

/** Whether `next` may follow `current` in a log, so that each quorum of the one meets each of the other. */
export function mayFollow(current: Configuration, next: Configuration): boolean {
  // A node that starts blank knows of nobody yet.
  if (current.voters.length === 0) return true;
  if (isJoint(current)) return !isJoint(next) && isSame(current.voters, next.voters);
  return isSame(current.voters, isJoint(next) ? next.outgoing : next.voters);
}

function checkWanted({ voters, learners }: WantedMembers): void {
  invariant(voters.length > 0, () => "members without voters are wanted");
  const all = [...voters, ...learners];
  const once = membersOf({ voters, outgoing: [], learners, learnersNext: [] });
  invariant(once.length === all.length, () => `a member is wanted twice: ${all.join(" ")}`);
}

function isSame(some: readonly NodeId[], others: readonly NodeId[]): boolean {
  return some.length === others.length && some.every((node) => others.includes(node));
}
