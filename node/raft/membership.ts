/**
 * The leader's side of a change of members: one at a time, each configuration in force from its append on.
 *
 *   change-membership ──► simple entry ──────────────────committed──┐
 *                    └──► joint entry ──committed──► final entry ────committed──► who left is told, and let go
 *                                    (whoever leads by then)            └──► a leader that left hands over
 *
 * While the configuration is joint, and until the final one is committed, the members of both are kept up to date: a
 * leader after this one may still need either of them.
 */
import type { NodeId } from "../base/ids.ts";
import { encodeConfiguration, isJoint, isVoter, membersOf } from "./configuration.ts";
import { finalStep, firstStep, isAsWanted } from "./configuration-change.ts";
import { appendOwn } from "./own-entries.ts";
import { Progress } from "./progress.ts";
import { sendFarewell } from "./replicate.ts";
import { becomeFollower } from "./roles.ts";
import { isActive, type Leading, type RaftState } from "./state.ts";
import { handOverAtOnce } from "./transfer.ts";
import type { Configuration, MembershipRefusal, WantedMembers } from "./types.ts";

/** A learner further behind than this is not made a voter: a group that must wait for it to commit would stand still. */
const maxBehindEntries = 1_000;

/** Begins a change to the wanted members, or says why not. */
export function changeMembership(state: RaftState, wanted: WantedMembers): void {
  const { leading, configurations, effects } = state;
  if (leading === undefined) {
    effects.refusedMembership = "not-leader";
    return;
  }
  const { current } = configurations;
  effects.refusedMembership = whyNot(state, leading, wanted);
  if (effects.refusedMembership !== undefined || isAsWanted(current, wanted)) return;
  appendConfiguration(state, leading, firstStep(current, wanted));
}

function whyNot(state: RaftState, leading: Leading, wanted: WantedMembers): MembershipRefusal | undefined {
  const { current } = state.configurations;
  if (isJoint(current) || !isSettled(state)) return "change-under-way";
  if (isAsWanted(current, wanted)) return undefined;
  // Before an entry of the own term is committed, a change by an older leader may still come to light.
  if (leading.transfer !== undefined || state.log.termAt(state.commitIndex) !== state.term) return "too-early";
  const promoted = wanted.voters.filter((voter) => !current.voters.includes(voter));
  return promoted.every((node) => isClose(state, leading, node)) ? undefined : "learner-behind";
}

function isClose(state: RaftState, leading: Leading, node: NodeId): boolean {
  const progress = leading.progress.get(node);
  if (progress === undefined || !isActive(state, progress) || progress.state !== "replicate") return false;
  return state.log.last.index - progress.matchIndex <= maxBehindEntries;
}

/** Whether the newest configuration is committed. */
function isSettled({ configurations, commitIndex }: RaftState): boolean {
  return configurations.currentIndex <= commitIndex;
}

function appendConfiguration(state: RaftState, leading: Leading, next: Configuration): void {
  state.configurations.adopt(appendOwn(state, leading, "configuration", [encodeConfiguration(next)]));
  followMembers(state, leading);
}

/** Sees to it that everybody is kept up to date who is a member now, or was one by the last committed configuration. */
export function followMembers(state: RaftState, leading: Leading): void {
  const { options, configurations, log, commitIndex } = state;
  const { progress } = leading;
  for (const member of configurations.since(commitIndex).flatMap(membersOf)) {
    if (member === options.id || progress.has(member)) continue;
    progress.set(member, new Progress({ nextIndex: log.last.index + 1, maxInflight: options.maxInflightAppends }));
  }
  const members = membersOf(configurations.current);
  leading.departing = [...progress.keys()].filter((node) => !members.includes(node));
}

/** Goes on with a change as far as the commit index allows; once per step, after that has moved. */
export function continueChange(state: RaftState, leading: Leading): void {
  const { current } = state.configurations;
  if (!isSettled(state)) return;
  // While leadership is handed over nothing is appended: the next leader sees to it.
  if (isJoint(current) && leading.transfer === undefined) appendConfiguration(state, leading, finalStep(current));
}

/** Once the change is committed: tells those who left, and forgets them; a leader that left hands over and steps down. */
export function endChange(state: RaftState, leading: Leading): void {
  if (!isSettled(state)) return;
  for (const peer of leading.departing) {
    const progress = leading.progress.get(peer);
    if (progress !== undefined) sendFarewell(state, leading, peer, progress);
    leading.progress.delete(peer);
  }
  leading.departing = [];
  if (isVoter(state.configurations.current, state.options.id)) return;
  handOverAtOnce(state, leading);
  becomeFollower(state, state.term, undefined);
}
