import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { votersOf } from "./configuration.ts";
import { entryBytes } from "./log.ts";
import { continueChange, endChange, followMembers } from "./membership.ts";
import { appendOwn } from "./own-entries.ts";
import { isQuorum, reachedByQuorum } from "./quorum.ts";
import { ReadRounds } from "./read-index.ts";
import { mayRest, sendAppends, sendCommit, sendHeartbeat } from "./replicate.ts";
import { becomeFollower, setLeader } from "./roles.ts";
import { commitThrough, type Leading, type RaftState, send } from "./state.ts";
import { continueTransfer } from "./transfer.ts";

/** A quorum voted: lead, and append an entry of the own term, without which nothing older may be committed (§8). */
export function becomeLeader(state: RaftState): void {
  const { options, log, nowMs } = state;
  invariant(state.role === "candidate" && state.doubt === undefined, () => `${state.role} becomes leader`);
  state.role = "leader";
  state.votes = new Map();
  setLeader(state, options.id);
  const leading: Leading = {
    progress: new Map(),
    departing: [],
    reads: new ReadRounds(),
    electedMs: nowMs,
    heartbeatDueMs: nowMs + options.heartbeatMs,
    uncommittedBytes: log.bytesAfter(state.commitIndex),
    transfer: undefined,
  };
  state.leading = leading;
  followMembers(state, leading);
  appendOwn(state, leading, "noop", [new Uint8Array()]);
}

/** Appends commands, all or none; the reason when none. */
export function propose(state: RaftState, commands: readonly Uint8Array[]): void {
  const { leading, options } = state;
  if (commands.length === 0) return;
  if (leading === undefined || leading.transfer !== undefined) {
    state.effects.refusedProposals = "not-leader";
    return;
  }
  let bytes = 0;
  for (const command of commands) bytes += command.byteLength;
  // Whatever its size, something can always be proposed when nothing waits.
  if (leading.uncommittedBytes > 0 && leading.uncommittedBytes + bytes > options.maxUncommittedBytes) {
    state.effects.refusedProposals = "too-many-uncommitted";
    return;
  }
  appendOwn(state, leading, "command", commands);
}

/** Every `heartbeatMs`: steps down when no quorum was heard for an election timeout, otherwise says that it lives. */
export function beat(state: RaftState, leading: Leading): void {
  const { id, electionTimeoutMs: timeoutMs, heartbeatMs } = state.options;
  const heardMs = (node: NodeId) =>
    Math.max(leading.electedMs, leading.progress.get(node)?.heardMs ?? Number.NEGATIVE_INFINITY);
  const isHeard = (node: NodeId) => node === id || state.nowMs - heardMs(node) < timeoutMs;
  // CheckQuorum (dissertation §6.2): a leader that is cut off must not keep its followers' clients waiting.
  if (!isQuorum(state.configurations.current, isHeard)) return becomeFollower(state, state.term, undefined);
  if (leading.transfer !== undefined && state.nowMs >= leading.transfer.deadlineMs) leading.transfer = undefined;
  leading.heartbeatDueMs = state.nowMs + heartbeatMs;
  for (const [peer, progress] of leading.progress)
    if (!mayRest(state, leading, progress)) sendHeartbeat(state, leading, peer, progress);
}

/** The end of each step of a leader: commits what is replicated widely enough, and sends whatever is due. */
export function lead(state: RaftState, leading: Leading): void {
  advanceCommit(state, leading);
  continueChange(state, leading);
  for (const [peer, progress] of leading.progress) sendAppends(state, peer, progress);
  advanceReads(state, leading);
  for (const [peer, progress] of leading.progress) sendCommit(state, leading, peer, progress);
  continueTransfer(state, leading);
  endChange(state, leading);
}

function advanceCommit(state: RaftState, leading: Leading): void {
  const { options, log, configurations, commitIndex } = state;
  const matchOf = (node: NodeId): LogIndex =>
    node === options.id ? log.persisted : (leading.progress.get(node)?.matchIndex ?? logIndex(0));
  const reached = logIndex(reachedByQuorum(configurations.current, matchOf));
  // An entry of an older term may sit on a majority and still be overwritten (§5.4.2, figure 8).
  if (reached <= commitIndex || log.termAt(reached) !== state.term) return;
  for (const entry of log.between(logIndex(commitIndex + 1), reached)) leading.uncommittedBytes -= entryBytes(entry);
  commitThrough(state, reached);
}

/** Registers a read of this node or of another. */
export function registerRead(state: RaftState, leading: Leading, from: NodeId, position: number): void {
  if (!leading.reads.add({ from, position })) answerRead(state, from, position, undefined);
}

function advanceReads(state: RaftState, leading: Leading): void {
  const { options, configurations, log, commitIndex } = state;
  const { reads, progress } = leading;
  const confirmedBy = (node: NodeId): number =>
    node === options.id ? reads.round : (progress.get(node)?.confirmedRound ?? 0);
  for (;;) {
    const confirmed = reads.confirmed(reachedByQuorum(configurations.current, confirmedBy));
    for (const { from, position } of confirmed?.reads ?? []) answerRead(state, from, position, confirmed?.readIndex);
    // Before an entry of the own term is committed, the commit index may lag behind what older leaders committed (§8).
    if (reads.isUnderWay || !reads.isWaiting || log.termAt(commitIndex) !== state.term) return;
    reads.begin(commitIndex);
    for (const voter of votersOf(configurations.current)) {
      const each = progress.get(voter);
      if (each !== undefined) sendHeartbeat(state, leading, voter, each);
    }
  }
}

function answerRead(state: RaftState, from: NodeId, position: number, readIndex: LogIndex | undefined): void {
  if (from !== state.options.id)
    return send(state, from, { type: "read-index-response", term: state.term, position, readIndex });
  if (readIndex === undefined) state.effects.refuseRead(position);
  else state.effects.confirmRead(position, readIndex);
}
