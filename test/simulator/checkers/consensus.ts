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
  configurationEntries: number[];
  isRefilling: boolean;
}

/** What must hold after every step of every core (Raft figure 3), and what this core promises besides. Each step costs little. */
export class ConsensusChecks {
  readonly #coverage: Coverage;
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

  constructor(coverage: Coverage) {
    this.#coverage = coverage;
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
      configurationEntries: [],
      isRefilling: lostPromises,
    };
    watched.configurations.adopt(from.entries);
    for (const { kind, index } of from.entries) if (kind === "configuration") watched.configurationEntries.push(index);
    this.#watched.set(node, watched);
  }

  ended(node: NodeId): void {
    this.#watched.delete(node);
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
    if (input.type === "trimmed") watched.log.trim(input.through);
    this.#checkHardState(watched, effects);
    // A leader that steps down may overwrite its log in the same step.
    if (effects.leadership !== undefined) this.#checkLeadership(watched, effects.leadership);
    this.#checkLog(watched, effects);
    for (const { message } of effects.messages) this.#checkClaim(watched, message);
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
      promises.term = Math.max(promises.term, message.term);
    }
    if (message.type === "vote-request") {
      const before = promises.votes.get(message.term) ?? from;
      must("OneVotePerTerm", before === from, () => `${from} stands in term ${message.term} and voted for ${before}`);
      promises.votes.set(message.term, from);
      promises.term = Math.max(promises.term, message.term);
    }
    if (message.type === "append-response" && message.result.type === "matched") {
      promises.term = Math.max(promises.term, message.term);
      const { matchIndex } = message.result;
      promises.index = Math.max(promises.index, matchIndex);
    }
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

  #checkLog(watched: Watched, { append, resetLog }: Effects): void {
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
      const open = watched.configurationEntries.filter((index) => index > Math.max(watched.committed, this.#claimed));
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

  /** A leader tells what it takes for committed. */
  #checkClaim(watched: Watched, message: RaftMessage): void {
    if (message.type !== "append-request" && message.type !== "heartbeat-request") return;
    const { commitIndex } = message;
    if (commitIndex <= this.#claimed) return;
    const term = watched.log.termAt(commitIndex);
    if (term !== undefined) this.#checkMajority(watched, { index: commitIndex, term });
    this.#claimed = commitIndex;
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
        this.#checkMajority(watched, entry);
        this.#claimed = Math.max(this.#claimed, index);
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
      const holders = group.filter((node) => this.isDurableOn(node, index, term));
      must("DurableMajority", 2 * holders.length > group.length, () => {
        return `${watched.node} commits ${index} of term ${term}, which is on the disks of ${holders.join(", ") || "nobody"} only`;
      });
    }
  }

  /** Whether the node's disk has the entry; may be answered by the disk itself. */
  isDurableOn(node: NodeId, index: number, term: Term): boolean {
    const watched = this.#watched.get(node);
    if (watched === undefined) return true; // it is down: what it has cannot be asked
    return index <= watched.log.base.index || (index <= watched.persisted && watched.log.termAt(index) === term);
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
