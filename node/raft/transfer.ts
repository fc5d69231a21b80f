import type { NodeId } from "../base/ids.ts";
import type { Progress } from "./progress.ts";
import { isActive, type Leading, type RaftState, send } from "./state.ts";

/** Leadership shall go to `to`: begun here, or asked of the leader, once; where none is known, nothing happens. */
export function transferLeadership(state: RaftState, to: NodeId | undefined): void {
  const { leading, leader, term } = state;
  if (leading !== undefined) startTransfer(state, leading, to);
  else if (leader !== undefined) send(state, leader, { type: "transfer-request", term, to });
}

/**
 * Begins to hand leadership to `to`, or to the voter that is furthest (dissertation §3.10): no proposals any more, the
 * target catches up, `timeout-now`; given up after an election timeout. Does nothing when there is no such voter.
 */
export function startTransfer(state: RaftState, leading: Leading, to: NodeId | undefined): void {
  const target = to ?? furthestVoter(state, leading);
  if (target === undefined || target === leading.transfer?.to || !mayTakeOver(state, leading, target)) return;
  const deadlineMs = state.nowMs + state.options.electionTimeoutMs;
  leading.transfer = { to: target, deadlineMs, askedMs: Number.NEGATIVE_INFINITY };
  // Its connection may have been idle, and an append under way lost: find out now rather than at the next heartbeat.
  leading.progress.get(target)?.suspectLoss(state.nowMs, 0, state.log.last.index);
}

/** Asks the target to stand for election once it holds the whole log; again each heartbeat, for the message may be lost. */
export function continueTransfer(state: RaftState, leading: Leading): void {
  const { transfer } = leading;
  if (transfer === undefined) return;
  const isCaughtUp = leading.progress.get(transfer.to)?.matchIndex === state.log.last.index;
  if (!isCaughtUp || state.nowMs - transfer.askedMs < state.options.heartbeatMs) return;
  transfer.askedMs = state.nowMs;
  send(state, transfer.to, { type: "timeout-now", term: state.term });
}

/** Lets the voter that is furthest stand for election now, for this leader goes without waiting for anybody. */
export function handOverAtOnce(state: RaftState, leading: Leading): void {
  const wasAsked = leading.transfer !== undefined && Number.isFinite(leading.transfer.askedMs);
  const heir = wasAsked ? undefined : furthestVoter(state, leading);
  if (heir !== undefined) send(state, heir, { type: "timeout-now", term: state.term });
}

function mayTakeOver(state: RaftState, leading: Leading, node: NodeId): boolean {
  return state.configurations.current.voters.includes(node) && leading.progress.has(node);
}

function furthestVoter(state: RaftState, leading: Leading): NodeId | undefined {
  const candidates = [...leading.progress].filter(([node]) => mayTakeOver(state, leading, node));
  const alive = candidates.filter(([, progress]) => isActive(state, progress));
  let best: [NodeId, Progress] | undefined;
  for (const each of alive.length > 0 ? alive : candidates)
    if (best === undefined || each[1].matchIndex > best[1].matchIndex) best = each;
  return best?.[0];
}
