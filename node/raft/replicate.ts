/**
 * The leader's side of replication: what each follower is sent, and what its answers say.
 *
 *   in memory ──► append-request      trimmed ──► install-snapshot-request
 *   on disk   ──► load ──► entries-loaded ──► append-request
 */
import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Progress } from "./progress.ts";
import { type Leading, type RaftState, send } from "./state.ts";
import type { Entry, RaftMessage } from "./types.ts";

type Message<Type extends RaftMessage["type"]> = Extract<RaftMessage, { type: Type }>;

/** Sends as many appends as the follower's window takes. */
export function sendAppends(state: RaftState, peer: NodeId, progress: Progress): void {
  const { log, options, nowMs } = state;
  if (progress.state === "snapshot") {
    if (nowMs - progress.lastAppendMs >= options.electionTimeoutMs) requestSnapshot(state, peer, progress);
    return;
  }
  while (progress.maySend(log.last.index)) {
    if (progress.nextIndex <= log.base.index) return requestSnapshot(state, peer, progress);
    const entries = progress.isWindowFull ? [] : log.slice(progress.nextIndex, options.maxAppendBytes);
    if (entries === undefined) return load(state, peer, progress);
    sendAppend(state, peer, progress, entries);
  }
}

function sendAppend(state: RaftState, peer: NodeId, progress: Progress, entries: readonly Entry[]): void {
  const { log, term, commitIndex, nowMs } = state;
  const previous = log.positionAt(logIndex(progress.nextIndex - 1));
  send(state, peer, { type: "append-request", term, previous, entries, commitIndex });
  noteTold(progress, Math.min(commitIndex, previous.index + entries.length));
  progress.sent(entries.length, nowMs);
}

function requestSnapshot(state: RaftState, peer: NodeId, progress: Progress): void {
  send(state, peer, { type: "install-snapshot-request", term: state.term, snapshot: state.log.base });
  progress.awaitSnapshot(state.nowMs);
}

function load(state: RaftState, peer: NodeId, progress: Progress): void {
  progress.loading(progress.nextIndex, state.nowMs);
  state.effects.load(peer, progress.nextIndex, state.options.maxAppendBytes);
}

/** Entries came back from disk. Whatever does not answer the question now open was asked for in another situation. */
export function onEntriesLoaded(state: RaftState, leading: Leading, to: NodeId, entries: readonly Entry[]): void {
  const progress = leading.progress.get(to);
  const first = entries[0];
  if (progress?.load === undefined || first === undefined || first.index !== progress.load.from) return;
  const isOwnLog = entries.every(
    ({ index, term }, at) => index === first.index + at && state.log.termAt(index) === term,
  );
  if (!isOwnLog) return;
  progress.loaded();
  const isWanted = progress.nextIndex === first.index && first.index > state.log.base.index;
  if (isWanted && progress.maySend(state.log.last.index)) sendAppend(state, to, progress, entries);
}

export function onAppendResponse(
  state: RaftState,
  leading: Leading,
  from: NodeId,
  { result }: Message<"append-response">,
): void {
  const progress = leading.progress.get(from);
  if (progress === undefined) return;
  const { log } = state;
  progress.heardMs = state.nowMs;
  switch (result.type) {
    case "matched":
      invariant(result.matchIndex <= log.last.index, () => `${from} matches ${result.matchIndex} of ${log.last.index}`);
      progress.matched(result.matchIndex, log.base.index);
      return;
    case "rejected": {
      // Both sides skip whole terms, so a long divergence costs a round trip per term, not per entry (§5.3).
      const guess = log.lastNotBeyond(result.hint)?.index ?? logIndex(log.base.index - 1);
      progress.rejected(result.previousIndex, guess, result.hint.index);
      return;
    }
  }
}

export function onHeartbeatResponse(
  state: RaftState,
  leading: Leading,
  from: NodeId,
  { round }: Message<"heartbeat-response">,
): void {
  const progress = leading.progress.get(from);
  if (progress === undefined) return;
  const { nowMs, log, options } = state;
  invariant(round <= leading.reads.round, () => `${from} answers round ${round}, newest ${leading.reads.round}`);
  progress.heardMs = nowMs;
  progress.confirmedRound = Math.max(progress.confirmedRound, round);
  if (progress.load !== undefined && nowMs - progress.load.askedMs >= options.electionTimeoutMs) progress.loaded();
  progress.suspectLoss(nowMs, options.heartbeatMs, log.last.index);
}

/** Says that the leader lives, what the follower may commit, and which read round is the newest. */
export function sendHeartbeat(state: RaftState, leading: Leading, peer: NodeId, progress: Progress): void {
  const commitIndex = logIndex(Math.min(progress.matchIndex, state.commitIndex));
  noteTold(progress, commitIndex);
  progress.heartbeatMs = state.nowMs;
  send(state, peer, { type: "heartbeat-request", term: state.term, commitIndex, round: leading.reads.round });
}

/** Tells a follower of a new commit index that nothing else in this step carried: doors wait for their own apply. */
export function sendCommit(state: RaftState, leading: Leading, peer: NodeId, progress: Progress): void {
  if (Math.min(progress.matchIndex, state.commitIndex) > progress.toldCommit)
    sendHeartbeat(state, leading, peer, progress);
}

/**
 * A follower that has everything, knows that it is committed, and answered the last heartbeat needs only every second
 * one. Not where the election timeout is so short that this would leave it two.
 */
export function mayRest(state: RaftState, leading: Leading, progress: Progress): boolean {
  const { nowMs, log, options } = state;
  const { heartbeatMs, electionTimeoutMs } = options;
  const lastIndex = log.last.index;
  const isUpToDate = progress.matchIndex === lastIndex && progress.toldCommit === lastIndex;
  const isAnswered = progress.heardMs >= progress.heartbeatMs;
  if (!isUpToDate || !isAnswered || leading.reads.isUnderWay || leading.transfer !== undefined) return false;
  // Half a beat of tolerance: timers fire late.
  return nowMs - progress.heartbeatMs < 1.5 * heartbeatMs && electionTimeoutMs >= 6 * heartbeatMs;
}

/** The last message to a follower that is a member no more: what it takes to know that, where one message can say it. */
export function sendFarewell(state: RaftState, leading: Leading, peer: NodeId, progress: Progress): void {
  const { log, options, configurations } = state;
  if (progress.toldCommit >= configurations.currentIndex) return;
  const entries =
    progress.nextIndex > log.base.index ? log.slice(progress.nextIndex, options.maxAppendBytes) : undefined;
  if (entries !== undefined) sendAppend(state, peer, progress, entries);
  else sendHeartbeat(state, leading, peer, progress);
}

function noteTold(progress: Progress, commitIndex: number): void {
  const told: LogIndex = logIndex(commitIndex);
  if (told > progress.toldCommit) progress.toldCommit = told;
}
