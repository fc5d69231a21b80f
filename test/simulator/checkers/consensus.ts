import type { LogIndex, NodeId, Term } from "../../../node/base/ids.ts";
import { ConfigurationHistory } from "../../../node/raft/configuration-history.ts";
import type {
  ConsensusCore,
  Effects,
  Entry,
  Input,
  LogPosition,
  RaftMessage,
  RaftOptions,
} from "../../../node/raft/types.ts";
import type { Coverage } from "../coverage.ts";
import { must } from "../violation.ts";
import { LogView } from "./log-view.ts";

/** What one node promised to others, which no restart takes back. */
interface Promises {
  term: number;
  /** Up to here its log was acknowledged, and not overwritten since. */
  index: number;
  readonly votes: Map<Term, NodeId>;
}

/** What outlives a power cut on each disk; unknown where the disk was damaged. */
export interface Disks {
  termOf(node: NodeId, index: number): number | undefined | "unknown";
  voteOf(node: NodeId): { readonly term: number; readonly votedFor: NodeId | undefined } | undefined | "unknown";
}

/** One core, from its start to the end of its process. */
interface Watched {
  readonly node: NodeId;
  readonly log: LogView;
  readonly configurations: ConfigurationHistory;
  term: Term;
  votedFor: NodeId | undefined;
  role: Effects["leadership"];
  /** Its own disk has everything up to here. */
  persisted: number;
  committed: number;
  /** What it knew to be committed when it was elected. */
  committedBefore: number;
  configurationEntries: number[];
  /** Who was heard to vote for it, in its term. */
  votesHeard: { readonly term: Term; readonly voters: Set<NodeId> };
  isRefilling: boolean;
}

/** What must hold after every step of every core (Raft figure 3), and what this core promises besides. Each step costs little. */
export class ConsensusChecks {
  readonly #coverage: Coverage;
  /** Asks the disk itself. */
  readonly #disks: Disks;
  readonly #watched = new Map<NodeId, Watched>();
  readonly #promises = new Map<NodeId, Promises>();
  readonly #leaders = new Map<Term, NodeId>();
  /** Every entry that any node was ever told is committed, by index. */
  readonly committed: Entry[] = [];
  /** The term in which that was first known of each; it was committed then or before. */
  readonly #committedIn: Term[] = [];
  /** Every entry that was ever appended anywhere, by index and term: its bytes, and the term before it. */
  readonly #appended = new Map<string, { readonly entry: Entry; readonly before: Term | undefined }>();
  readonly #readFloors = new Map<string, number>();
  /** The highest commit index that any core has claimed. */
  #claimed = 0;
  #newestLeader: NodeId | undefined;

  constructor(coverage: Coverage, disks: Disks) {
    this.#coverage = coverage;
    this.#disks = disks;
  }

  get highestCommitted(): number {
    return this.committed.length - 1;
  }

  started(node: NodeId, from: RaftOptions): void {
    const { hardState, lostPromises, logBase, termRuns, lastIndex, applied } = from;
    const promises = this.#promisesOf(node);
    must("PromisesSurvive", hardState.term >= promises.term, () => {
      return `${node} promised in term ${promises.term} and restarts in ${hardState.term}`;
    });
    const vote = promises.votes.get(hardState.term);
    must("OneVotePerTerm", vote === undefined || hardState.votedFor === vote, () => {
      return `${node} voted for ${vote} in term ${hardState.term} and restarts with ${hardState.votedFor}`;
    });
    const keeps = lostPromises || lastIndex >= promises.index || logBase.index >= promises.index;
    must("PromisesSurvive", keeps, () => {
      return `${node} acknowledged ${promises.index} and restarts with ${lastIndex}, without a doubt`;
    });
    if (lostPromises) this.#coverage.count("lost promises found");
    const watched: Watched = {
      node,
      log: new LogView(logBase, termRuns, lastIndex),
      configurations: new ConfigurationHistory(applied, from.configuration),
      term: hardState.term,
      votedFor: hardState.votedFor,
      role: undefined,
      persisted: lastIndex,
      committed: applied,
      committedBefore: applied,
      configurationEntries: [],
      votesHeard: { term: hardState.term, voters: new Set() },
      isRefilling: lostPromises,
    };
    watched.configurations.adopt(from.entries);
    for (const { kind, index } of from.entries) if (kind === "configuration") watched.configurationEntries.push(index);
    this.#watched.set(node, watched);
    this.#claimed = Math.max(this.#claimed, applied);
  }

  ended(node: NodeId): void {
    this.#watched.delete(node);
  }

  /** What the node promised in a former life binds nobody, and its reads were never those of the next one. */
  forget(node: NodeId): void {
    this.#promises.delete(node);
    for (const key of this.#readFloors.keys()) if (key.startsWith(`${node} `)) this.#readFloors.delete(key);
  }

  /** Before the step: what it is asked. */
  asked(node: NodeId, input: Input): void {
    if (input.type === "read") {
      const key = `${node} ${input.position}`;
      must("ReadPositions", !this.#readFloors.has(key), () => `read position ${key} is used twice`);
      this.#readFloors.set(key, this.#claimed);
    }
  }

  stepped(node: NodeId, input: Input, effects: Effects, core: ConsensusCore): void {
    const watched = this.#watched.get(node);
    if (watched === undefined) return;
    if (input.type === "log-persisted" && watched.log.termAt(input.last.index) === input.last.term)
      watched.persisted = Math.max(watched.persisted, input.last.index);
    if (input.type === "snapshot-installed" && effects.resetLog === undefined)
      watched.committed = Math.max(watched.committed, input.position.index);
    if (input.type === "snapshot-installed" && effects.resetLog !== undefined) {
      watched.configurations.reset(effects.resetLog.index, input.configuration);
      const { configuration } = core.status();
      must("ConfigurationKept", JSON.stringify(configuration) === JSON.stringify(input.configuration), () => {
        return `${node} goes on after a snapshot with another configuration than is in it`;
      });
    }
    if (input.type === "trimmed") watched.log.trim(input.through);
    if (input.type === "message") this.#checkVotes(watched, input.from, input.message, effects);
    this.#checkHardState(watched, effects);
    // A leader that steps down may overwrite its log in the same step.
    if (effects.leadership !== undefined) {
      this.#checkLeadership(watched, effects.leadership);
      if (effects.leadership.role !== "leader") watched.committedBefore = core.status().commitIndex;
    }
    this.#checkLog(watched, effects, core);
    this.#checkCommit(watched, effects, core);
    this.#checkCommitted(watched, effects.committed);
    this.#checkReads(watched, effects);
    if (watched.isRefilling && !core.status().lostPromises) {
      watched.isRefilling = false;
      this.#coverage.count("lost promises refilled");
    }
  }

  /** A message leaves its node: whatever it promises is promised now. */
  sent(from: NodeId, to: NodeId, message: RaftMessage): void {
    const promises = this.#promisesOf(from);
    if (message.type === "vote-response" && message.granted) {
      const before = promises.votes.get(message.term) ?? to;
      must("OneVotePerTerm", before === to, () => `${from} votes for ${before} and ${to} in term ${message.term}`);
      promises.votes.set(message.term, to);
      this.#checkVoteIsDurable(from, message.term, to);
      promises.term = Math.max(promises.term, message.term);
    }
    if (message.type === "vote-request") {
      const before = promises.votes.get(message.term) ?? from;
      must("OneVotePerTerm", before === from, () => `${from} stands in term ${message.term} and voted for ${before}`);
      promises.votes.set(message.term, from);
      this.#checkVoteIsDurable(from, message.term, from);
      promises.term = Math.max(promises.term, message.term);
    }
    if (message.type === "append-response" && message.result.type === "matched") {
      promises.term = Math.max(promises.term, message.term);
      const { matchIndex } = message.result;
      promises.index = Math.max(promises.index, matchIndex);
      // One of an older term may tell of entries that are being overwritten: they were on the disk, and nobody counts them.
      const watched = this.#watched.get(from);
      const term = watched?.term === message.term ? watched.log.termAt(matchIndex) : undefined;
      must("AckAfterSync", term === undefined || this.#isDurableOn(from, matchIndex, term), () => {
        return `${from} acknowledges ${matchIndex}, which its disk may lose`;
      });
    }
  }

  #checkVoteIsDurable(node: NodeId, term: Term, candidate: NodeId): void {
    const durable = this.#disks.voteOf(node);
    if (durable === "unknown" || (durable !== undefined && durable.term > term)) return;
    must("VoteAfterSync", durable?.term === term && durable.votedFor === candidate, () => {
      return `${node} votes for ${candidate} in ${term}; its disk has ${durable?.votedFor} in ${durable?.term}`;
    });
  }

  #checkHardState(watched: Watched, { hardState }: Effects): void {
    if (hardState === undefined) return;
    const { node, term, votedFor } = watched;
    must("TermGrows", hardState.term >= term, () => `the term of ${node} goes back from ${term} to ${hardState.term}`);
    const keepsVote = hardState.term > term || votedFor === undefined || hardState.votedFor === votedFor;
    must("OneVotePerTerm", keepsVote, () => `${node} changes its vote of term ${term} from ${votedFor}`);
    watched.term = hardState.term;
    watched.votedFor = hardState.votedFor;
  }

  #checkLog(watched: Watched, { append, resetLog }: Effects, core: ConsensusCore): void {
    const { node, log, configurations, role } = watched;
    if (resetLog !== undefined) {
      must("LeaderAppendOnly", role?.role !== "leader", () => `${node} leads and drops its log`);
      log.reset(resetLog);
      watched.persisted = Math.max(watched.persisted, resetLog.index);
      watched.committed = Math.max(watched.committed, resetLog.index);
      watched.configurationEntries = watched.configurationEntries.filter((index) => index > resetLog.index);
    }
    const [first] = append;
    if (first === undefined) return;
    if (first.index <= log.lastIndex) {
      must("LeaderAppendOnly", role?.role !== "leader", () => `${node} leads and overwrites ${first.index}`);
      must("OnlyConflictsTruncate", log.termAt(first.index) !== first.term, () => {
        return `${node} overwrites ${first.index} of term ${first.term} with itself`;
      });
      must("CommittedStays", first.index > watched.committed, () => `${node} overwrites the committed ${first.index}`);
      this.#coverage.count("entries truncated", log.lastIndex - first.index + 1);
      watched.persisted = Math.min(watched.persisted, first.index - 1);
      const promises = this.#promisesOf(node);
      promises.index = Math.min(promises.index, first.index - 1);
      configurations.truncateFrom(first.index);
      watched.configurationEntries = watched.configurationEntries.filter((index) => index < first.index);
    }
    must("NoGaps", first.index <= log.lastIndex + 1, () => `${node} appends ${first.index} after ${log.lastIndex}`);
    let before = log.termAt(first.index - 1);
    for (const entry of append) {
      this.#checkMatching(node, entry, before);
      before = entry.term;
    }
    log.append(append);
    for (const { kind, index } of append) if (kind === "configuration") watched.configurationEntries.push(index);
    if (append.some(({ kind }) => kind === "configuration")) {
      configurations.adopt(append);
      if (configurations.current.outgoing.length > 0 && role?.role === "leader")
        this.#coverage.count("joint configurations");
      const open = watched.configurationEntries.filter((index) => index > core.status().commitIndex);
      must("OneConfigurationAtATime", role?.role !== "leader" || open.length <= 1, () => {
        return `${node} has uncommitted configurations at ${open.join(", ")}`;
      });
    }
  }

  /** LogMatching, by induction: an entry of one index and term has the same bytes everywhere, and follows the same term. */
  #checkMatching(node: NodeId, entry: Entry, before: Term | undefined): void {
    const key = `${entry.index} ${entry.term}`;
    const known = this.#appended.get(key);
    if (known === undefined) {
      this.#appended.set(key, { entry, before });
      return;
    }
    const isSame = known.entry.kind === entry.kind && Buffer.compare(known.entry.data, entry.data) === 0;
    must("LogMatching", isSame, () => `${node} has another entry ${entry.index} of term ${entry.term}`);
    const follows = before === undefined || known.before === undefined || before === known.before;
    must(
      "LogMatching",
      follows,
      () => `${node}: entry ${entry.index} follows term ${before}, elsewhere ${known.before}`,
    );
  }

  #checkLeadership(watched: Watched, role: NonNullable<Effects["leadership"]>): void {
    const { node, log } = watched;
    must(
      "TermGrows",
      role.term >= (watched.role?.term ?? 0),
      () => `${node} is in term ${role.term} after a later one`,
    );
    watched.role = role;
    if (role.role === "candidate") this.#coverage.count("elections");
    if (role.role !== "leader") return;
    const leader = this.#leaders.get(role.term) ?? node;
    must("ElectionSafety", leader === node, () => `${leader} and ${node} lead term ${role.term}`);
    must("NoDoubtfulLeader", !watched.isRefilling, () => `${node} leads, though its log lost promises`);
    if (this.#leaders.has(role.term)) return;
    this.#leaders.set(role.term, node);
    this.#checkElected(watched, role.term);
    if (this.#newestLeader !== node) this.#coverage.count("leader changes");
    this.#newestLeader = node;
    for (let index = log.base.index + 1; index < this.committed.length; index += 1) {
      const entry = this.committed[index];
      // Votes of an old term may come so late that its leader has successors already, whose entries it need not have.
      if (entry === undefined || (this.#committedIn[index] ?? 0) >= role.term) continue;
      must("LeaderCompleteness", log.termAt(index) === entry.term, () => {
        return `${node} leads term ${role.term} without the committed ${index} of term ${entry.term}`;
      });
    }
  }

  #checkVotes(watched: Watched, from: NodeId, message: RaftMessage, { messagesAfterSync, messages }: Effects): void {
    const { node, log } = watched;
    if (message.type === "vote-response" && message.granted) {
      if (message.term > watched.votesHeard.term) watched.votesHeard = { term: message.term, voters: new Set() };
      if (message.term === watched.votesHeard.term) watched.votesHeard.voters.add(from);
    }
    if (message.type !== "vote-request") return;
    const isGranted = [...messagesAfterSync, ...messages].some(
      (sent) => sent.message.type === "vote-response" && sent.message.granted,
    );
    if (!isGranted) return;
    must("NoDoubtfulVote", !watched.isRefilling, () => `${node} votes, though its log lost promises`);
    const { term = 0 as Term, index } = { term: log.termAt(log.lastIndex), index: log.lastIndex };
    const isCovered = message.last.term > term || (message.last.term === term && message.last.index >= index);
    must("ElectionRestriction", isCovered, () => {
      return `${node} with ${index} of term ${term} votes for ${from} with ${message.last.index} of term ${message.last.term}`;
    });
  }

  /** A majority of voters, of both where the configuration is joint, was heard to vote for it. */
  #checkElected({ node, configurations, votesHeard }: Watched, term: Term): void {
    const { voters, outgoing } = configurations.current;
    for (const group of [voters, outgoing]) {
      const votes = group.filter(
        (voter) => voter === node || (votesHeard.term === term && votesHeard.voters.has(voter)),
      );
      must("ElectedByMajority", group.length === 0 || 2 * votes.length > group.length, () => {
        return `${node} leads term ${term} with the votes of ${votes.join(", ")} out of ${group.join(", ")}`;
      });
    }
  }

  /** Looked at whenever more is committed than any core has shown before: what it tells others, or hands out. */
  #checkCommit(watched: Watched, { messages, committed }: Effects, core: ConsensusCore): void {
    const told = (message: RaftMessage) =>
      message.type === "append-request" || message.type === "heartbeat-request" ? message.commitIndex : 0;
    const shown = messages.reduce((most, { message }) => Math.max(most, told(message)), committed.at(-1)?.index ?? 0);
    if (shown <= this.#claimed) return;
    const { commitIndex, role, term: currentTerm } = core.status();
    const term = watched.log.termAt(commitIndex);
    if (term === undefined) return;
    this.#claimed = commitIndex;
    // An entry of an older term may sit on a majority and still be overwritten (Raft §5.4.2, figure 8).
    const isOwn = role !== "leader" || commitIndex <= watched.committedBefore || term === currentTerm;
    must("CommitOwnTerm", isOwn, () => `${watched.node} commits ${commitIndex} of term ${term} in ${currentTerm}`);
    this.#checkMajority(watched, { index: commitIndex, term });
  }

  #checkCommitted(watched: Watched, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { node } = watched;
      const { index, term, kind, data } = entry;
      must(
        "CommitGrows",
        index === watched.committed + 1,
        () => `${node} is handed ${index} after ${watched.committed}`,
      );
      watched.committed = index;
      must("ApplyAfterSync", index <= watched.persisted, () => `${node} applies ${index} before it is on its disk`);
      const known = this.committed[index];
      if (known === undefined) {
        this.committed[index] = entry;
        this.#committedIn[index] = watched.term;
      } else {
        const isSame = known.term === term && known.kind === kind && Buffer.compare(known.data, data) === 0;
        must("StateMachineSafety", isSame, () => `${node} is handed another entry ${index} than others`);
      }
    }
    if (entries.length > 0) watched.configurations.settleThrough(watched.committed as LogIndex);
  }

  /** What is committed lies on the disks of a majority, of both where the configuration is joint. */
  #checkMajority(watched: Watched, { index, term }: LogPosition): void {
    const { voters, outgoing } = watched.configurations.current;
    for (const group of [voters, outgoing]) {
      if (group.length === 0) continue;
      const holders = group.filter((node) => this.#isDurableOn(node, index, term));
      must("DurableMajority", 2 * holders.length > group.length, () => {
        return `${watched.node} commits ${index} of term ${term}, which is on the disks of ${holders.join(", ") || "nobody"} only`;
      });
    }
  }

  #isDurableOn(node: NodeId, index: number, term: Term): boolean {
    const durable = this.#disks.termOf(node, index);
    return durable === "unknown" || durable === term || index <= (this.#watched.get(node)?.log.base.index ?? 0);
  }

  #checkReads({ node }: Watched, { confirmedReads, refusedReads }: Effects): void {
    for (const { position, readIndex } of confirmedReads) {
      const floor = this.#readFloors.get(`${node} ${position}`);
      must("LinearizableReads", floor !== undefined, () => `read ${position} of ${node} was never asked`);
      must("LinearizableReads", readIndex >= floor, () => {
        return `${node} reads at ${readIndex}, ${floor} was committed before it asked`;
      });
    }
    if (confirmedReads.length > 0) this.#coverage.count("reads confirmed", confirmedReads.length);
    if (refusedReads.length > 0) this.#coverage.count("reads refused", refusedReads.length);
  }

  #promisesOf(node: NodeId): Promises {
    let promises = this.#promises.get(node);
    if (promises === undefined) {
      promises = { term: 0, index: 0, votes: new Map() };
      this.#promises.set(node, promises);
    }
    return promises;
  }
}
