/**
 * A node whose log lost entries it had acknowledged.
 *
 * Why it may not vote: an entry that was committed by counting it may now be missing here, and with this node's vote a
 * candidate without that entry could win. While it neither votes nor leads, every electing majority meets every
 * majority that counted it in some other node, which still holds the entry and refuses such a candidate. So
 * LeaderCompleteness holds for all leaders elected meanwhile.
 *
 * When it may again: once its synced log holds everything it ever acknowledged that was, or may yet be, committed.
 * Let t be the current term and f an entry of term t in the synced log. By LogMatching the log up to f is the leader's.
 *
 *  - Entries of terms before t that were committed stand in the leader's log before its first own entry
 *    (LeaderCompleteness), so they are here again. If t is later than every term in which this node acknowledged
 *    anything, that is all there is.
 *  - In the very term t it may have acknowledged more than it holds now, and the leader may still count that. Within one
 *    term the leader's log only grows, so having reached the last index ever acknowledged means having it all again.
 *
 * f need not be committed: whatever truncates it later leaves what is committed in place.
 * Until then the node acknowledges only what is committed without it, and confirms no reads.
 *
 * If even the record of its promises is in doubt (`promisedIndex` undefined), so is the term in which they were made: it
 * may be that of the first leader heard, and then only a later term can settle the matter. A quiet group may stay in one
 * term for months, so the node begins that term itself, once: it answers this leader from the next term, the leader
 * steps down, and the others elect one of a term in which this node cannot have promised anything.
 */
import { type LogIndex, logIndex, type NodeId, term } from "../base/ids.ts";
import { becomeFollower, isFromLeader } from "./roles.ts";
import { type RaftState, sendAfterSync } from "./state.ts";
import type { RaftMessage } from "./types.ts";

/** Tells the leader that everything up to `index` is synced here, once it is. */
export function acknowledge(state: RaftState, leader: NodeId, index: LogIndex): void {
  const matchIndex = state.doubt === undefined ? index : logIndex(Math.min(index, state.commitIndex));
  sendAfterSync(state, leader, { type: "append-response", term: state.term, result: { type: "matched", matchIndex } });
}

/** The read round this node confirms; rounds begin at 1, so 0 confirms nothing. */
export function confirmableRound(state: RaftState, round: number): number {
  return state.doubt === undefined ? round : 0;
}

/** Begins a later term where only that can end the doubt; true when `message` is of the term that was left. */
export function leavesTerm(state: RaftState, message: RaftMessage): boolean {
  const { doubt } = state;
  if (doubt === undefined || doubt.heardLeader || !isFromLeader(message)) return false;
  doubt.heardLeader = true;
  if (doubt.promisedIndex !== undefined) return false;
  doubt.throughTerm = term(Math.max(doubt.throughTerm, message.term));
  becomeFollower(state, term(message.term + 1), undefined);
  return true;
}

/** Ends the doubt when the log is refilled; see above. */
export function settleDoubt(state: RaftState): void {
  const { doubt, leader, log } = state;
  if (doubt === undefined || leader === undefined) return;
  if (log.termAt(log.persisted) !== state.term) return;
  const hasReachedPromise = doubt.promisedIndex !== undefined && log.persisted >= doubt.promisedIndex;
  if (state.term <= doubt.throughTerm && !hasReachedPromise) return;
  state.doubt = undefined;
  acknowledge(state, leader, log.persisted);
}
