import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { acknowledge, confirmableRound } from "./lost-promises.ts";
import { becomeFollower, hearLeader } from "./roles.ts";
import { commitThrough, type RaftState, send, sendAfterSync } from "./state.ts";
import type { Configuration, Entry, LogPosition, RaftMessage } from "./types.ts";

type Message<Type extends RaftMessage["type"]> = Extract<RaftMessage, { type: Type }>;

/** Takes in the leader's entries where they continue a log that is equal up to there (§5.3). */
export function onAppendRequest(state: RaftState, from: NodeId, request: Message<"append-request">): void {
  hearLeader(state, from);
  checkContiguous(request);
  const { log } = state;
  const { previous, entries } = afterCommitted(state, request);
  if (!log.matches(previous)) return reject(state, from, previous);
  const lastNew = logIndex(previous.index + entries.length);
  // Only a conflict truncates: a late copy of an older append must not take away what was acknowledged since.
  const firstNew = entries.findIndex((entry) => log.termAt(entry.index) !== entry.term);
  if (firstNew >= 0) replaceFrom(state, entries.slice(firstNew));
  commitThrough(state, logIndex(Math.min(request.commitIndex, lastNew)));
  acknowledge(state, from, lastNew);
}

function checkContiguous({ term, previous, entries }: Message<"append-request">): void {
  let before = previous;
  for (const entry of entries) {
    const { index, term: beforeTerm } = before;
    invariant(entry.index === index + 1, () => `entry ${entry.index} sent after ${index}`);
    invariant(entry.term >= beforeTerm && entry.term <= term, () => `term ${entry.term} sent after ${beforeTerm}`);
    before = entry;
  }
}

/** The request without what is committed here: that stands in the leader's log too (LeaderCompleteness). */
function afterCommitted(
  state: RaftState,
  { previous, entries }: Message<"append-request">,
): { readonly previous: LogPosition; readonly entries: readonly Entry[] } {
  const { log, commitIndex } = state;
  if (previous.index >= commitIndex) return { previous, entries };
  const count = commitIndex - previous.index;
  for (const entry of entries.slice(0, count)) {
    const held = log.termAt(entry.index);
    const differs = held !== undefined && held !== entry.term;
    invariant(!differs, () => `committed ${entry.index} has term ${held} here, ${entry.term} at the leader`);
  }
  return { previous: log.positionAt(commitIndex), entries: entries.slice(count) };
}

function replaceFrom(state: RaftState, entries: readonly Entry[]): void {
  const { log, configurations, commitIndex } = state;
  const first = entries[0];
  invariant(first !== undefined && first.index > commitIndex, () => `${first?.index} replaced, commit ${commitIndex}`);
  if (first.index <= log.last.index) {
    log.truncateFrom(first.index);
    configurations.truncateFrom(first.index);
  }
  log.append(entries);
  configurations.adopt(entries);
  state.effects.append(entries);
}

/** Says where the logs may agree: the last entry at or before `previous` of a term not beyond its (fast back-up, §5.3). */
function reject(state: RaftState, from: NodeId, previous: LogPosition): void {
  const { log, commitIndex } = state;
  const found = log.lastNotBeyond(previous);
  const hint = found === undefined || found.index < commitIndex ? log.positionAt(commitIndex) : found;
  const result = { type: "rejected", previousIndex: previous.index, hint } as const;
  sendAfterSync(state, from, { type: "append-response", term: state.term, result });
}

/** The leader lives, and what it has committed of this node's log is committed. */
export function onHeartbeatRequest(state: RaftState, from: NodeId, request: Message<"heartbeat-request">): void {
  hearLeader(state, from);
  const { log } = state;
  if (request.commitIndex <= log.last.index) commitThrough(state, request.commitIndex);
  else {
    // The leader believes that this node holds what it lost: tell it where the log ends now.
    const result = { type: "rejected", previousIndex: request.commitIndex, hint: log.last } as const;
    sendAfterSync(state, from, { type: "append-response", term: state.term, result });
  }
  const round = confirmableRound(state, request.round);
  send(state, from, { type: "heartbeat-response", term: state.term, round });
}

/** What this node needs is trimmed from the leader's log: pull a snapshot, unless it is here after all. */
export function onInstallSnapshotRequest(
  state: RaftState,
  from: NodeId,
  { snapshot }: Message<"install-snapshot-request">,
): void {
  hearLeader(state, from);
  // A snapshot stands for committed entries only, so a log that reaches it may commit that far.
  if (snapshot.index > state.commitIndex && state.log.matches(snapshot)) commitThrough(state, snapshot.index);
  if (snapshot.index <= state.commitIndex) acknowledge(state, from, state.commitIndex);
  else state.effects.snapshotNeeded = { from, position: snapshot };
}

/** A snapshot is durable in the catalog: the log goes on after it, kept where it holds the same entry. */
export function snapshotInstalled(state: RaftState, position: LogPosition, configuration: Configuration): void {
  const { log } = state;
  if (position.index <= state.handedOut) return;
  if (log.matches(position)) commitThrough(state, position.index);
  else resetTo(state, position, configuration);
  state.handedOut = position.index;
  noteApplied(state, position.index);
  const { leader, leading } = state;
  if (leading !== undefined) leading.uncommittedBytes = log.bytesAfter(state.commitIndex);
  else if (leader !== undefined) acknowledge(state, leader, position.index);
}

function resetTo(state: RaftState, position: LogPosition, configuration: Configuration): void {
  const { log, commitIndex, role } = state;
  if (position.term > state.term) becomeFollower(state, position.term, undefined);
  else if (role === "leader") {
    // A leader of a later term committed this, and deposed this one while it was still pulling the snapshot.
    invariant(position.term < state.term, () => `two logs of term ${state.term}: no ${position.index} here`);
    becomeFollower(state, state.term, undefined);
  }
  invariant(position.index > commitIndex, () => `snapshot at ${position.index} contradicts commit ${commitIndex}`);
  log.reset(position);
  state.configurations.reset(position.index, configuration);
  state.commitIndex = position.index;
  state.effects.resetLog = position;
}

/** Entries up to `index` are applied. */
export function noteApplied(state: RaftState, index: LogIndex): void {
  if (index <= state.applied) return;
  invariant(index <= state.handedOut, () => `applied ${index}, handed out ${state.handedOut}`);
  state.applied = index;
  state.log.appliedThrough(index);
  state.configurations.settleThrough(index);
}
