/** One line of production code, and the wrong one in its place. */
interface Edit {
  /** Below `node/`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A bug that the simulator must find. */
export interface Mutant {
  readonly name: string;
  readonly edits: readonly Edit[];
}

/** Known ways to get consensus, disks and replicas wrong, each planted in the production code itself when it is loaded. */
export const mutants: readonly Mutant[] = [
  {
    name: "an entry of an older term is committed by counting (figure 8)",
    edits: [
      {
        file: "raft/leader.ts",
        from: "reached <= commitIndex || log.termAt(reached) !== state.term",
        to: "reached <= commitIndex",
      },
    ],
  },
  {
    name: "a vote leaves before it is durable",
    edits: [
      {
        file: "raft/election.ts",
        from: 'sendAfterSync(state, from, { type: "vote-response", term: state.term, granted });',
        to: 'send(state, from, { type: "vote-response", term: state.term, granted });',
      },
    ],
  },
  {
    name: "term and vote are two writes, and the vote is the later one",
    edits: [
      {
        file: "storage/hard-state-file.ts",
        from: "    await this.#write(next);\n    if (Object",
        to: "    await this.#write(next.term > this.#state.term ? { ...next, votedFor: undefined } : next);\n    if (next.term === this.#state.term && Object",
      },
    ],
  },
  {
    name: "an acknowledgement leaves before the sync",
    edits: [
      { file: "replication/driver.ts", from: "messages: [...effects.messagesAfterSync],", to: "messages: []," },
      {
        file: "replication/driver.ts",
        from: "for (const envelope of effects.messages) this",
        to: "for (const envelope of [...effects.messages, ...effects.messagesAfterSync]) this",
      },
    ],
  },
  {
    name: "a deposed leader serves reads",
    edits: [
      {
        file: "raft/leader.ts",
        from: "reads.confirmed(reachedByQuorum(configurations.current, confirmedBy))",
        to: "reads.confirmed(Math.max(reads.round, reachedByQuorum(configurations.current, confirmedBy)))",
      },
    ],
  },
  {
    name: "reads are served before an entry of the own term is committed",
    edits: [
      {
        file: "raft/leader.ts",
        from: "|| log.termAt(commitIndex) !== state.term) return;\n    reads.begin",
        to: ") return;\n    reads.begin",
      },
    ],
  },
  {
    name: "a read position is used again after a restart",
    edits: [
      {
        file: "replication/replicated-catalog.ts",
        from: "firstPosition: options.boots * maxPositionsPerBoot",
        to: "firstPosition: 1",
      },
    ],
  },
  {
    name: "a sync report counts after the log was rewritten",
    edits: [
      { file: "raft/log.ts", from: "    if (rewritten || !this.matches(last)) return;\n", to: "    void rewritten;\n" },
    ],
  },
  {
    name: "a duplicate vote counts twice",
    edits: [
      {
        file: "raft/election.ts",
        from: "if (!state.votes.has(from)) state.votes.set(from, response.granted);",
        to: "state.votes.set(state.votes.has(from) ? (othersWhoVote(state).find((each) => !state.votes.has(each)) ?? from) : from, response.granted);",
      },
    ],
  },
  {
    name: "a duplicate append truncates what was acknowledged since",
    edits: [
      {
        file: "raft/follower.ts",
        from: "if (firstNew >= 0) replaceFrom(state, entries.slice(firstNew));",
        to: "if (firstNew >= 0 || entries.length > 0) replaceFrom(state, entries);",
      },
    ],
  },
  {
    name: "a retry is applied twice",
    edits: [
      {
        file: "catalog/apply.ts",
        from: "recentOutcome(this.#overlay, proposal.id) ?? refuseExpired(proposal, index)",
        to: "refuseExpired(proposal, index)",
      },
    ],
  },
  {
    name: "copies are swept behind a late command",
    edits: [
      {
        file: "depot/deposit-order.ts",
        from: "await this.#propose({ ...blob, copies, ranking: [...new Set(ranking)] });",
        to: "await this.#propose({ ...blob, copies, ranking: [...new Set(ranking)] }).catch(async (error: unknown) => {\n      await discardCopies(this.#options, made);\n      throw error;\n    });",
      },
    ],
  },
  {
    name: "a replica is dropped before another is added",
    edits: [
      {
        file: "catalog/holders.ts",
        from: "  let present = Math.min(countPresent(staying), wanted);\n  let missing = wanted - present;",
        to: "  let missing = Math.min(staying.length - countPresent(staying), wanted);\n  let present = wanted - missing;",
      },
    ],
  },
  {
    name: "a small blob is acknowledged without a sync",
    edits: [
      {
        file: "storage/blobs/small-blobs.ts",
        from: '      await failStop.guard("syncing a stage", () => disk.syncFile(fd));\n',
        to: "",
      },
    ],
  },
  {
    name: "the name of a blob is not synced",
    edits: [
      {
        file: "storage/blobs/shelf.ts",
        from: "        if (round.some((turn) => turn.changesNames)) await this.#sync();\n",
        to: "",
      },
    ],
  },
  {
    name: "a log shorter than promised is trusted",
    edits: [
      { file: "storage/log-recovery.ts", from: 'lostPromises: plan.lost !== "nothing",', to: "lostPromises: false," },
    ],
  },
  {
    name: "an entry is applied before it is on the own disk",
    edits: [
      {
        file: "raft/raft.ts",
        from: "logIndex(Math.min(state.commitIndex, state.log.persisted))",
        to: "logIndex(state.commitIndex)",
      },
    ],
  },
  {
    name: "a node that lost promises votes",
    edits: [
      {
        file: "raft/election.ts",
        from: "const granted = state.doubt === undefined && isFree",
        to: "const granted = isFree",
      },
    ],
  },
  {
    name: "a learner counts in a quorum",
    edits: [
      {
        file: "raft/quorum.ts",
        from: "const incoming = reachedByMajority(voters, valueOf);",
        to: "const { learners = [] } = configuration as { learners?: readonly NodeId[] };\n  const incoming = [...voters, ...learners].map(valueOf).sort((a, b) => b - a)[majority(voters.length) - 1] ?? 0;",
      },
    ],
  },
  {
    name: "the configuration is lost under a snapshot",
    edits: [
      {
        file: "raft/follower.ts",
        from: "state.configurations.reset(position.index, configuration);",
        to: "state.configurations.reset(position.index, state.configurations.current);",
      },
    ],
  },
  {
    name: "a candidate with a shorter log gets votes",
    edits: [
      {
        file: "raft/election.ts",
        from: "isFree && state.log.isNotAheadOf(request.last);",
        to: "isFree;",
      },
    ],
  },
];
