/**
 * Raft (Ongaro, Ousterhout: In Search of an Understandable Consensus Algorithm, 2014; Ongaro's dissertation for
 * PreVote, CheckQuorum, ReadIndex and leadership transfer). Design after etcd-io/raft.
 *
 *   input ──► Raft.step ──► by message and role                             ──► Effects
 *              terms        election.ts   who leads
 *                           follower.ts   takes in appends and snapshots
 *                           leader.ts     commits, confirms reads; replicate.ts, transfer.ts, membership.ts
 *                           state.ts      the one record all of them change
 */
import { logIndex, type NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { isAloneQuorum, isVoter, membersOf } from "./configuration.ts";
import { EffectsDraft } from "./effects.ts";
import {
  electionTimedOut,
  leaderRefused,
  onPreVoteRequest,
  onPreVoteResponse,
  onTimeoutNow,
  onVoteRequest,
  onVoteResponse,
  startElection,
} from "./election.ts";
import {
  noteApplied,
  onAppendRequest,
  onHeartbeatRequest,
  onInstallSnapshotRequest,
  snapshotInstalled,
} from "./follower.ts";
import { beat, lead, propose, registerRead } from "./leader.ts";
import { leavesTerm, settleDoubt } from "./lost-promises.ts";
import { changeMembership } from "./membership.ts";
import { onAppendResponse, onEntriesLoaded, onHeartbeatResponse } from "./replicate.ts";
import { becomeFollower, isFromLeader } from "./roles.ts";
import {
  createState,
  hardStateOf,
  hearsLeader,
  isActive,
  isPromotable,
  leadershipOf,
  type RaftState,
  resetElectionTimer,
  send,
  sendAfterSync,
} from "./state.ts";
import { startTransfer, transferLeadership } from "./transfer.ts";
import type {
  ConsensusCore,
  Effects,
  Entry,
  HardState,
  Input,
  Leadership,
  RaftMessage,
  RaftOptions,
  RaftStatus,
} from "./types.ts";

/** One member's core: the only owner of its term, vote, role and log. */
export class Raft implements ConsensusCore {
  readonly #state: RaftState;
  #hasStarted = false;
  #toldHardState: HardState;
  #toldLeadership: Leadership;

  constructor(options: RaftOptions) {
    this.#state = createState(options);
    this.#toldHardState = options.hardState;
    this.#toldLeadership = leadershipOf(this.#state);
  }

  /** Due at once before the first step, which starts the timers. */
  get deadlineMs(): number {
    if (!this.#hasStarted) return 0;
    const { leading, electionDeadlineMs, forwardedReads, options } = this.#state;
    if (leading !== undefined) return leading.progress.size > 0 ? leading.heartbeatDueMs : Number.POSITIVE_INFINITY;
    return Math.min(electionDeadlineMs, forwardedReads.dueMs(options.heartbeatMs, options.electionTimeoutMs));
  }

  step(nowMs: number, input: Input): Effects {
    const state = this.#state;
    invariant(nowMs >= state.nowMs, () => `the clock went from ${state.nowMs} to ${nowMs}`);
    state.nowMs = nowMs;
    state.effects = new EffectsDraft();
    if (!this.#hasStarted) this.#start();
    this.#take(input);
    if (state.leading !== undefined) lead(state, state.leading);
    settleDoubt(state);
    const committed = this.#handOut();
    return state.effects.finish({ committed, hardState: this.#hardStateNews(), leadership: this.#leadershipNews() });
  }

  status(): RaftStatus {
    const { commitIndex, applied, log, configurations, doubt, leading } = this.#state;
    const progress = [...(leading?.progress ?? [])].map(([node, each]) => {
      const { matchIndex, state } = each;
      return [node, { matchIndex, state, isActive: isActive(this.#state, each) }] as const;
    });
    return {
      ...leadershipOf(this.#state),
      commitIndex,
      applied,
      last: log.last,
      configuration: configurations.current,
      lostPromises: doubt !== undefined,
      progress: new Map(progress),
    };
  }

  #start(): void {
    const state = this.#state;
    this.#hasStarted = true;
    resetElectionTimer(state);
    // Nobody else can have an opinion, so there is nothing to wait for.
    if (isPromotable(state) && isAloneQuorum(state.configurations.current, state.options.id))
      startElection(state, { transfer: false });
  }

  #take(input: Input): void {
    const state = this.#state;
    switch (input.type) {
      case "tick":
        return this.#tick();
      case "message":
        return this.#receive(input.from, input.message);
      case "propose":
        return propose(state, input.commands);
      case "read":
        return this.#read(input.position);
      case "log-persisted":
        return state.log.syncedThrough(input.last);
      case "applied":
        return noteApplied(state, input.index);
      case "trimmed":
        noteApplied(state, input.through);
        return state.log.trimThrough(input.through);
      case "entries-loaded":
        if (state.leading !== undefined) onEntriesLoaded(state, state.leading, input.to, input.entries);
        return;
      case "snapshot-installed":
        return snapshotInstalled(state, input.position, input.configuration);
      case "peer-refused":
        return this.#peerRefused(input.peer);
      case "transfer-leadership":
        return transferLeadership(state, input.to);
      case "change-membership":
        return changeMembership(state, input);
    }
  }

  #tick(): void {
    const state = this.#state;
    const { nowMs, leading, leader, forwardedReads, term } = state;
    const { heartbeatMs, electionTimeoutMs } = state.options;
    if (leading !== undefined) {
      if (nowMs >= leading.heartbeatDueMs) beat(state, leading);
      return;
    }
    if (nowMs >= state.electionDeadlineMs) return electionTimedOut(state);
    for (const position of forwardedReads.takeExpired(nowMs, electionTimeoutMs)) state.effects.refuseRead(position);
    if (leader === undefined) return;
    for (const position of forwardedReads.resend(nowMs, heartbeatMs))
      send(state, leader, { type: "read-index-request", term, position });
  }

  #read(position: number): void {
    const state = this.#state;
    const { leading, leader, forwardedReads, term, options, nowMs } = state;
    forwardedReads.register(position);
    if (leading !== undefined) return registerRead(state, leading, options.id, position);
    if (leader === undefined) return state.effects.refuseRead(position);
    forwardedReads.add(position, nowMs);
    send(state, leader, { type: "read-index-request", term, position });
  }

  #peerRefused(peer: NodeId): void {
    const state = this.#state;
    if (state.role === "follower" && state.leader === peer) leaderRefused(state);
    state.leading?.progress.get(peer)?.unreachable();
  }

  /** Terms first (§5.1), then the message itself. */
  #receive(from: NodeId, message: RaftMessage): void {
    const state = this.#state;
    if (from === state.options.id) return;
    // Pre-votes speak of a term that has not begun: they never change this node's.
    if (message.type === "pre-vote-request") return onPreVoteRequest(state, from, message);
    if (message.type === "pre-vote-response") return onPreVoteResponse(state, from, message);
    if (message.term < state.term) return this.#receiveStale(from, message);
    if (message.term > state.term) {
      // A node that was removed, or cut off, must not depose a leader that the others hear (§6).
      if (message.type === "vote-request" && hearsLeader(state) && !this.#isTransfer(from, message)) return;
      if (message.type !== "vote-request" && !isFromLeader(message) && !this.#isMember(from)) return;
      becomeFollower(state, message.term, undefined);
    }
    if (leavesTerm(state, message)) return this.#receiveStale(from, message);
    this.#handle(from, message);
  }

  #isTransfer(from: NodeId, { transfer }: Extract<RaftMessage, { type: "vote-request" }>): boolean {
    return transfer && isVoter(this.#state.configurations.current, from);
  }

  #isMember(node: NodeId): boolean {
    return membersOf(this.#state.configurations.current).includes(node);
  }

  #handle(from: NodeId, message: Exclude<RaftMessage, { type: "pre-vote-request" | "pre-vote-response" }>): void {
    const state = this.#state;
    const { leading } = state;
    switch (message.type) {
      case "vote-request":
        return onVoteRequest(state, from, message);
      case "vote-response":
        return onVoteResponse(state, from, message);
      case "append-request":
        return onAppendRequest(state, from, message);
      case "append-response":
        return leading && onAppendResponse(state, leading, from, message);
      case "heartbeat-request":
        return onHeartbeatRequest(state, from, message);
      case "heartbeat-response":
        return leading && onHeartbeatResponse(state, leading, from, message);
      case "install-snapshot-request":
        return onInstallSnapshotRequest(state, from, message);
      case "read-index-request":
        if (leading !== undefined) return registerRead(state, leading, from, message.position);
        return this.#refuseRead(from, message.position);
      case "read-index-response":
        return this.#readAnswered(message);
      case "timeout-now":
        return onTimeoutNow(state);
      case "transfer-request":
        if (leading?.progress.has(from)) startTransfer(state, leading, message.to);
        return;
    }
  }

  /** From an older term: says which term it is to those who would otherwise go on in the old one. */
  #receiveStale(from: NodeId, message: RaftMessage): void {
    const state = this.#state;
    const { term, log } = state;
    switch (message.type) {
      case "append-request":
      case "install-snapshot-request":
      case "heartbeat-request": {
        // Without an answer, a leader that this node no longer listens to would never step down for it.
        const previousIndex = logIndex(0);
        const result = { type: "rejected", previousIndex, hint: log.last } as const;
        return sendAfterSync(state, from, { type: "append-response", term, result });
      }
      case "vote-request":
        return sendAfterSync(state, from, { type: "vote-response", term, granted: false });
      case "read-index-request":
        return this.#refuseRead(from, message.position);
      case "vote-response":
      case "append-response":
      case "heartbeat-response":
      case "read-index-response":
      case "timeout-now":
      case "transfer-request":
      case "pre-vote-request":
      case "pre-vote-response":
        return;
    }
  }

  #refuseRead(from: NodeId, position: number): void {
    const { term } = this.#state;
    send(this.#state, from, { type: "read-index-response", term, position, readIndex: undefined });
  }

  #readAnswered({ position, readIndex }: Extract<RaftMessage, { type: "read-index-response" }>): void {
    const { forwardedReads, effects } = this.#state;
    if (!forwardedReads.take(position)) return;
    if (readIndex === undefined) effects.refuseRead(position);
    else effects.confirmRead(position, readIndex);
  }

  /** What is committed and synced here, and was not handed out yet. */
  #handOut(): readonly Entry[] {
    const state = this.#state;
    const through = logIndex(Math.min(state.commitIndex, state.log.persisted));
    if (through <= state.handedOut) return [];
    const committed = state.log.between(logIndex(state.handedOut + 1), through);
    state.handedOut = through;
    return committed;
  }

  #hardStateNews(): HardState | undefined {
    const now = hardStateOf(this.#state);
    const told = this.#toldHardState;
    invariant(now.term >= told.term, () => `term ${now.term} after ${told.term}`);
    if (now.term === told.term && now.votedFor === told.votedFor) return undefined;
    const isRevote = now.term === told.term && told.votedFor !== undefined;
    invariant(!isRevote, () => `vote for ${now.votedFor} after ${told.votedFor} in term ${now.term}`);
    this.#toldHardState = now;
    return now;
  }

  #leadershipNews(): Leadership | undefined {
    const now = leadershipOf(this.#state);
    const told = this.#toldLeadership;
    if (now.role === told.role && now.term === told.term && now.leader === told.leader) return undefined;
    this.#toldLeadership = now;
    return now;
  }
}
