import type { NodeId, Term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { type RaftState, raiseTerm, resetElectionTimer, send } from "./state.ts";
import type { RaftMessage } from "./types.ts";

/**
 * Follows `leader` (undefined: nobody yet) in `term`. A leader that steps down keeps nothing: its reads are refused,
 * its transfer is forgotten, and it sends no more appends or heartbeats.
 */
export function becomeFollower(state: RaftState, term: Term, leader: NodeId | undefined): void {
  if (term !== state.term) raiseTerm(state, term);
  const { leading } = state;
  state.role = "follower";
  state.leading = undefined;
  state.votes = new Map();
  setLeader(state, leader);
  for (const { from, position } of leading?.reads.drain() ?? []) {
    if (from === state.options.id) state.effects.refuseRead(position);
    else send(state, from, { type: "read-index-response", term: state.term, position, readIndex: undefined });
  }
  resetElectionTimer(state);
}

/** Notes who leads. Reads that were sent to somebody else are refused: no answer of his counts any more. */
export function setLeader(state: RaftState, leader: NodeId | undefined): void {
  for (const position of state.forwardedReads.drain()) state.effects.refuseRead(position);
  state.leader = leader;
}

/** Whether only the leader of its term sends such a message. */
export function isFromLeader({ type }: RaftMessage): boolean {
  return type === "append-request" || type === "heartbeat-request" || type === "install-snapshot-request";
}

/** The leader of the current term was heard: nobody stands for election for another timeout. */
export function hearLeader(state: RaftState, from: NodeId): void {
  invariant(state.role !== "leader", () => `two leaders in term ${state.term}: ${state.options.id} and ${from}`);
  if (state.role !== "follower") becomeFollower(state, state.term, from);
  else if (state.leader !== from) {
    invariant(state.leader === undefined, () => `two leaders in term ${state.term}: ${state.leader} and ${from}`);
    setLeader(state, from);
  }
  state.leaderHeardMs = state.nowMs;
  state.hurryUntilMs = Number.NEGATIVE_INFINITY;
  resetElectionTimer(state);
}
