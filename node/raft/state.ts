import { type LogIndex, logIndex, type NodeId, type Term, term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { isAloneQuorum, isVoter } from "./configuration.ts";
import { ConfigurationHistory } from "./configuration-history.ts";
import { EffectsDraft } from "./effects.ts";
import { RaftLog } from "./log.ts";
import type { Progress } from "./progress.ts";
import { ForwardedReads, type ReadRounds } from "./read-index.ts";
import type { HardState, Leadership, RaftMessage, RaftOptions, Role } from "./types.ts";

/**
 * Everything one core knows. There is one record per core, owned by its {@link Raft}; the functions of this folder
 * change it synchronously, within one step, and nothing else ever does.
 */
export interface RaftState {
  readonly options: RaftOptions;
  readonly log: RaftLog;
  readonly configurations: ConfigurationHistory;
  readonly forwardedReads: ForwardedReads;
  nowMs: number;
  term: Term;
  votedFor: NodeId | undefined;
  role: Role;
  leader: NodeId | undefined;
  commitIndex: LogIndex;
  /** Committed entries up to here were handed to the driver. */
  handedOut: LogIndex;
  applied: LogIndex;
  /** Set while this node leads. */
  leading: Leading | undefined;
  /** Answers to the (pre-)vote under way, the own one included. */
  votes: Map<NodeId, boolean>;
  electionDeadlineMs: number;
  leaderHeardMs: number;
  /** Until then elections are retried quickly: the leader's process is known to be gone. */
  hurryUntilMs: number;
  doubt: Doubt | undefined;
  effects: EffectsDraft;
}

/** What only a leader keeps. */
export interface Leading {
  /** What each other member has, and may be sent. */
  readonly progress: Map<NodeId, Progress>;
  /** Those among them who are members no more, as soon as the newest configuration is committed. */
  departing: readonly NodeId[];
  readonly reads: ReadRounds;
  readonly electedMs: number;
  heartbeatDueMs: number;
  uncommittedBytes: number;
  transfer: { readonly to: NodeId; readonly deadlineMs: number; askedMs: number } | undefined;
}

/** Why this node may not be trusted with a vote: see `lost-promises.ts`. */
export interface Doubt {
  /** The last term in which this node may have acknowledged what it lost. */
  throughTerm: Term;
  readonly promisedIndex: LogIndex | undefined;
  /** Whether a leader was heard since the start. */
  heardLeader: boolean;
}

/** The state a core starts with: a follower that knows nobody. */
export function createState(options: RaftOptions): RaftState {
  const { hardState, applied, configuration, entries } = options;
  const log = new RaftLog({ ...options, base: options.logBase });
  const configurations = new ConfigurationHistory(applied, configuration);
  configurations.adopt(entries);
  const isBehind = log.last.term > hardState.term;
  const currentTerm = term(Math.max(hardState.term, log.last.term));
  return {
    options,
    log,
    configurations,
    forwardedReads: new ForwardedReads(),
    nowMs: Number.NEGATIVE_INFINITY,
    term: currentTerm,
    votedFor: isBehind ? undefined : hardState.votedFor,
    role: "follower",
    leader: undefined,
    commitIndex: applied,
    handedOut: applied,
    applied,
    leading: undefined,
    votes: new Map(),
    electionDeadlineMs: 0,
    leaderHeardMs: Number.NEGATIVE_INFINITY,
    hurryUntilMs: Number.NEGATIVE_INFINITY,
    doubt: options.lostPromises
      ? { throughTerm: currentTerm, promisedIndex: options.promisedIndex, heardLeader: false }
      : undefined,
    effects: new EffectsDraft(),
  };
}

export function leadershipOf(state: RaftState): Leadership {
  return { role: state.role, term: state.term, leader: state.leader };
}

export function hardStateOf(state: RaftState): HardState {
  return { term: state.term, votedFor: state.votedFor };
}

/**
 * Whether this node may stand for election: also where a change that is not committed takes its vote away, for it may be
 * the only one left who holds that change (dissertation §4.2.2).
 */
export function isPromotable({ doubt, configurations, commitIndex, options }: RaftState): boolean {
  return doubt === undefined && configurations.since(commitIndex).some((each) => isVoter(each, options.id));
}

/** Whether a follower was heard within an election timeout. */
export function isActive(state: RaftState, progress: Progress): boolean {
  return state.nowMs - progress.heardMs < state.options.electionTimeoutMs;
}

/** Whether a live leader is known, so that nobody else gets a vote (§6, dissertation §4.2.3). */
export function hearsLeader(state: RaftState): boolean {
  if (state.role === "leader") return true;
  return state.leader !== undefined && state.nowMs - state.leaderHeardMs < state.options.electionTimeoutMs;
}

/** Sends what promises nothing about this node's disk. */
export function send(state: RaftState, to: NodeId, message: RaftMessage): void {
  // Where this node alone elects itself, no other disk has seen its term: nobody may hear of it before its own has.
  if (state.role === "leader" && isAloneQuorum(state.configurations.current, state.options.id))
    state.effects.sendAfterSync(to, message);
  else state.effects.send(to, message);
}

/** Sends what depends on what was written before. */
export function sendAfterSync(state: RaftState, to: NodeId, message: RaftMessage): void {
  state.effects.sendAfterSync(to, message);
}

/** Draws a new election deadline in [T, 2T), or soon where there is a hurry. */
export function resetElectionTimer(state: RaftState): void {
  const { electionTimeoutMs: timeoutMs, random } = state.options;
  if (isHurrying(state)) hurryElection(state);
  else state.electionDeadlineMs = state.nowMs + timeoutMs * (1 + random());
}

export function isHurrying(state: RaftState): boolean {
  return state.nowMs < state.hurryUntilMs;
}

/** The next attempt in [T/20, T/8): long enough for a round trip, short enough for a failover that nobody notices. */
export function hurryElection(state: RaftState): void {
  const { electionTimeoutMs: timeoutMs, random } = state.options;
  state.electionDeadlineMs = state.nowMs + timeoutMs * (0.05 + 0.075 * random());
}

/** Moves `commitIndex` forward; true when it moved. What is committed never moves back. */
export function commitThrough(state: RaftState, index: LogIndex): boolean {
  if (index <= state.commitIndex) return false;
  const { last } = state.log;
  invariant(index <= last.index, () => `commit ${index} beyond the log's end ${last.index}`);
  state.commitIndex = logIndex(index);
  return true;
}

/** Raises the term; the vote of an older term is void. */
export function raiseTerm(state: RaftState, to: Term): void {
  invariant(to > state.term, () => `term ${to} after ${state.term}`);
  state.term = to;
  state.votedFor = undefined;
}
