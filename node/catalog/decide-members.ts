import type { LogIndex, NodeId } from "../base/ids.ts";
import { staged } from "../base/ids.ts";
import { isVoter } from "../raft/configuration.ts";
import type { Configuration } from "../raft/types.ts";
import type { Draft } from "./draft.ts";
import { memberInLife, storingMembers, unsettledNodes } from "./members.ts";
import { refuse } from "./preconditions.ts";
import { readHolder, readMembers } from "./tables.ts";
import type { Command, MemberRecord, Outcome } from "./types.ts";

/** Where a change of membership is decided: its place in the log, and the configuration applied up to there. */
export interface MembershipContext {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/** A node joins; whatever its role, it first catches up. An id that stands here in another life must be removed before. */
export function decideAddMember(
  draft: Draft,
  { index, configuration }: MembershipContext,
  { member: facts }: Extract<Command, { type: "add-member" }>,
): Outcome {
  const members = readMembers(draft);
  const known = members.find(({ id }) => id === facts.id);
  if (known?.state === "member") return refuse("already-a-member", standing(known, facts.incarnation));
  const busy = refuseWhileBusy(members, configuration, undefined);
  if (busy !== undefined) return busy;
  const added: MemberRecord = { ...facts, state: "member", life: index, sweptUpTo: staged(0) };
  draft.putMembers([...members, added].sort((a, b) => (a.id < b.id ? -1 : 1)));
  return { type: "done" };
}

function standing({ id, incarnation }: MemberRecord, other: MemberRecord["incarnation"]): string {
  if (incarnation === other) return `node ${id} is a member already: there is nothing to do`;
  return `node ${id} is a member with another data directory: remove it first, then add it again`;
}

/** An operator removes a node. It may be the very node that is being added: then that ends here. */
export function decideRemoveMember(
  draft: Draft,
  { configuration }: MembershipContext,
  { node, acceptLoss }: Extract<Command, { type: "remove-member" }>,
): Outcome {
  const members = readMembers(draft);
  const member = members.find(({ id }) => id === node);
  if (member === undefined) return refuse("node-not-found", `there is no node ${node} in the group`);
  const state = acceptLoss || member.state === "lost" ? "lost" : "leaving";
  if (member.state === state) return { type: "done" };
  const isLastVoter = !storingMembers(members).some(({ id, role }) => role === "voter" && id !== node);
  if (isLastVoter) return refuse("last-voter", `node ${node} is the last voter: add another one first`);
  const busy = refuseWhileBusy(members, configuration, node);
  if (busy !== undefined) return busy;
  draft.putMembers(members.map((each) => (each.id === node ? { ...each, state } : each)));
  return { type: "done" };
}

/** One change at a time; what is under way with `except` itself does not count. */
function refuseWhileBusy(
  members: readonly MemberRecord[],
  configuration: Configuration,
  except: NodeId | undefined,
): Outcome | undefined {
  const others = unsettledNodes(members, configuration).filter((node) => node !== except);
  if (others.length === 0) return undefined;
  const isLeaving = (node: NodeId) => members.find(({ id }) => id === node)?.state !== "member";
  const what = others.map((node) => `node ${node} is being ${isLeaving(node) ? "removed" : "added"}`);
  return refuse("node-busy", `${what.join(", ")}: wait until GET /v1/cluster shows that it has ended`);
}

/** Rows in which a leaving node would still say that it deleted something. */
export function decideForgetReplicas(
  draft: Draft,
  { node, life, blobIds }: Extract<Command, { type: "forget-replicas" }>,
): Outcome {
  const member = memberInLife(readMembers(draft), node, life);
  if (member === undefined || member.state === "member") return { type: "done" };
  for (const blobId of blobIds)
    if (readHolder(draft, node, blobId)?.state === "doomed") draft.removeHolder(node, blobId);
  return { type: "done" };
}

/** The end of a removal. Whoever still counts in consensus is not forgotten. */
export function decideForgetMember(
  draft: Draft,
  { configuration }: MembershipContext,
  { node, life }: Extract<Command, { type: "forget-member" }>,
): Outcome {
  const members = readMembers(draft);
  const member = memberInLife(members, node, life);
  if (member === undefined) return { type: "done" };
  if (member.state === "member" || isVoter(configuration, node))
    return refuse("node-busy", `node ${node} still votes, or is not to be removed`);
  draft.putMembers(members.filter(({ id }) => id !== node));
  return { type: "done" };
}
