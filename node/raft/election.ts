/**
 *   follower ──timeout, refused──► pre-candidate ──quorum would vote──► candidate ──quorum voted──► leader
 *      ▲                                │  same term                       │  term + 1               │
 *      └──a leader, a higher term, or no quorum──────────┴────────────────────────────┴──no quorum heard───┘
 *
 * A pre-vote (dissertation §9.6) changes nothing on either side, so a node that was cut off cannot raise the term.
 */
import { type NodeId, term } from "../base/ids.ts";
import { votersOf } from "./configuration.ts";
import { becomeLeader } from "./leader.ts";
import { countVotes } from "./quorum.ts";
import { becomeFollower, setLeader } from "./roles.ts";
import {
  hearsLeader,
  hurryElection,
  isHurrying,
  isPromotable,
  type RaftState,
  raiseTerm,
  resetElectionTimer,
  send,
  sendAfterSync,
} from "./state.ts";
import type { RaftMessage } from "./types.ts";

type Message<Type extends RaftMessage["type"]> = Extract<RaftMessage, { type: Type }>;

/** No leader was heard for an election timeout, or a vote brought no result in time. */
export function electionTimedOut(state: RaftState): void {
  if (isPromotable(state)) return startPreVote(state);
  setLeader(state, undefined);
  resetElectionTimer(state);
}

/**
 * The leader's process is gone for sure. Its lease ends at once, here; the delay is random so that the others, who
 * notice at the same moment, do not split the vote. The vote refusal of those who still hear it rules as ever.
 */
export function leaderRefused(state: RaftState): void {
  const { electionTimeoutMs: timeoutMs, random } = state.options;
  setLeader(state, undefined);
  state.hurryUntilMs = state.nowMs + 2 * timeoutMs;
  state.electionDeadlineMs = state.nowMs + (timeoutMs / 10) * random();
}

function startPreVote(state: RaftState): void {
  state.role = "pre-candidate";
  setLeader(state, undefined);
  resetElectionTimer(state);
  state.votes = new Map([[state.options.id, true]]);
  if (countVotes(state.configurations.current, state.votes) === "won") return startElection(state, { transfer: false });
  const request = { type: "pre-vote-request", term: term(state.term + 1), last: state.log.last } as const;
  for (const voter of othersWhoVote(state)) send(state, voter, request);
}

/** Stands for election in the next term (§5.2). With `transfer`, because the leader asked for it. */
export function startElection(state: RaftState, { transfer }: { readonly transfer: boolean }): void {
  const { id, electionTimeoutMs: timeoutMs, random } = state.options;
  raiseTerm(state, term(state.term + 1));
  state.votedFor = id;
  state.role = "candidate";
  setLeader(state, undefined);
  resetElectionTimer(state);
  // Unlike a pre-vote, a vote waits for the voters' disks.
  if (isHurrying(state)) state.electionDeadlineMs = state.nowMs + timeoutMs * (0.25 + 0.25 * random());
  state.votes = new Map([[id, true]]);
  if (countVotes(state.configurations.current, state.votes) === "won") return becomeLeader(state);
  // The own vote is counted, so it must be durable before anybody can answer.
  const request = { type: "vote-request", term: state.term, last: state.log.last, transfer } as const;
  for (const voter of othersWhoVote(state)) sendAfterSync(state, voter, request);
}

function othersWhoVote(state: RaftState): readonly NodeId[] {
  return votersOf(state.configurations.current).filter((voter) => voter !== state.options.id);
}

/** Would this node vote for `from`? Answered from what is known now; nothing changes here. */
export function onPreVoteRequest(state: RaftState, from: NodeId, request: Message<"pre-vote-request">): void {
  const granted =
    state.doubt === undefined &&
    !hearsLeader(state) &&
    request.term > state.term &&
    state.log.isNotAheadOf(request.last);
  // A refusal carries this node's term, so that a candidate that fell behind catches up instead of asking forever.
  send(state, from, { type: "pre-vote-response", term: granted ? request.term : state.term, granted });
  if (granted && state.role === "follower" && isHurrying(state)) hurryElection(state);
}

export function onPreVoteResponse(state: RaftState, from: NodeId, response: Message<"pre-vote-response">): void {
  if (!response.granted && response.term > state.term) return becomeFollower(state, response.term, undefined);
  if (state.role !== "pre-candidate") return;
  if (response.granted && response.term !== state.term + 1) return;
  state.votes.set(from, response.granted);
  switch (countVotes(state.configurations.current, state.votes)) {
    case "won":
      return startElection(state, { transfer: false });
    case "lost":
      return becomeFollower(state, state.term, undefined);
    case "pending":
  }
}

/** At most one vote a term, and only for a log at least as up to date as the own (§5.2, §5.4.1). */
export function onVoteRequest(state: RaftState, from: NodeId, request: Message<"vote-request">): void {
  const isFree = state.votedFor === from || (state.votedFor === undefined && state.leader === undefined);
  const granted = state.doubt === undefined && isFree && state.log.isNotAheadOf(request.last);
  if (granted) {
    if (state.role !== "follower") becomeFollower(state, state.term, undefined);
    state.votedFor = from;
    resetElectionTimer(state);
  }
  sendAfterSync(state, from, { type: "vote-response", term: state.term, granted });
}

export function onVoteResponse(state: RaftState, from: NodeId, response: Message<"vote-response">): void {
  if (state.role !== "candidate") return;
  // The first answer of a node counts: it has one vote, and a duplicate of a message says nothing new.
  if (!state.votes.has(from)) state.votes.set(from, response.granted);
  switch (countVotes(state.configurations.current, state.votes)) {
    case "won":
      return becomeLeader(state);
    case "lost":
      return becomeFollower(state, state.term, undefined);
    case "pending":
      if (!response.granted && isHurrying(state)) hurryElection(state);
  }
}

/** The leader hands over: stand for election at once, without asking who would vote (dissertation §3.10). */
export function onTimeoutNow(state: RaftState): void {
  if (isPromotable(state) && state.role !== "leader") startElection(state, { transfer: true });
}
