import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

// Where each scenario is proved that a consensus core must survive, by file and title, so that none gets lost.

const core = "paper/log-replication.test.ts";
const safety = "paper/safety.test.ts";
const elections = "paper/elections.test.ts";
const preVote = "paper/pre-vote.test.ts";
const checkQuorum = "paper/check-quorum.test.ts";
const members = "paper/membership.test.ts";
const learners = "paper/learners.test.ts";
const reads = "paper/read-index.test.ts";
const transfer = "paper/transfer.test.ts";
const replication = "replication.test.ts";
const snapshot = "snapshot.test.ts";
const pulled = "../replication/snapshot-install.test.ts";

/** Traces are told by their file alone. */
const scenarios: Readonly<Record<string, readonly (readonly [file: string, title: string] | string)[]>> = {
  "figure 7: logs converge": [
    [core, "Raft §5.3: all followers of figure 7 converge to the leader's log"],
    "replication-figure-7.txt",
  ],
  "figure 8": [
    [
      safety,
      "Raft §5.4.2: figure 8 (d): an entry of an older term on a majority is overwritten, and was never committed",
    ],
    [safety, "Raft §5.4.2: figure 8 (e): once an entry of the own term is committed, nobody without it is elected"],
    "replication-figure-8.txt",
    "replication-figure-8-committed.txt",
  ],
  "pre-vote with split vote": [
    [elections, "Raft §5.2: when votes are split nobody wins, and the next election is in a new term"],
    "election-split-vote.txt",
  ],
  "stuck candidate": [
    ["election.test.ts", "Raft: a stuck candidate of a higher term gets a leader it listens to"],
    "election-stuck-candidate.txt",
  ],
  "returning partitioned node does not raise the term": [
    [preVote, "PreVote §9.6: a node that returns from a partition neither raises the term nor deposes the leader"],
    ["partition.test.ts", "Partition: nodes that return, one after the other and all at once, find the term unchanged"],
    "election-returning-node.txt",
  ],
  "check-quorum: step-down": [
    [
      checkQuorum,
      "CheckQuorum §6.2: a leader that hears no majority for an election timeout steps down, and falls silent",
    ],
    "election-check-quorum.txt",
  ],
  "check-quorum: superseding": [
    [
      checkQuorum,
      "CheckQuorum §6.2: the majority elects another leader meanwhile, and the old one follows it on its return",
    ],
    "election-superseding-leader.txt",
  ],
  "removed server does not disturb": [
    [members, "Raft §6: a removed server that does not know it disrupts nobody, whatever it asks for"],
    ["leaving.test.ts", "Leaving: whatever a removed node of a higher term says, nobody who hears the leader listens"],
    "membership-removed-server.txt",
  ],
  "leader removes itself": [
    [members, "Raft §6: a leader that leaves manages the change without counting itself, and steps down at its commit"],
    "membership-leader-removes-itself.txt",
  ],
  "joint change survives a leader change": [
    [members, "Raft §6: a later leader that holds the joint configuration does so in the place of the first"],
    ["joint.test.ts", "Joint: an entry that its leader left uncommitted is finished by the next leader that holds it"],
    "membership-joint-across-leader-change.txt",
  ],
  "learner: never counted": [
    [learners, "Learner §4.2.1: it is not counted for a commitment"],
    [learners, "Learner §4.2.1: it is not asked for votes, is not counted if it answers, and never stands"],
    [learners, "Learner §4.2.1: it confirms no read, and keeps no leader"],
    "membership-learner.txt",
  ],
  "learner: promoted when close, never when slow": [
    [
      learners,
      "Learner §4.2.1: it becomes a voter when it is close to the end of the log, never while it is far behind or silent",
    ],
    ["promotion.test.ts", "Promotion: a learner may be a thousand entries behind, not one more"],
  ],
  "ReadIndex: no read before an entry of the own term": [
    [reads, "ReadIndex §6.4: a read that comes before an entry of the own term is committed waits for it"],
    "read-before-own-term-entry.txt",
  ],
  "ReadIndex: duplicates": [
    [reads, "ReadIndex §6.4: a request that comes twice is answered once a round, and a late answer is ignored"],
    [reads, "ReadIndex §6.4: an answer to an older round, late or doubled, confirms no later read"],
    "read-leader.txt",
  ],
  "ReadIndex: from a follower": [
    [reads, "ReadIndex §6.4: followers and learners read through the leader"],
    "read-follower.txt",
  ],
  "ReadIndex: to an old leader": [
    [reads, "ReadIndex §6.4: a leader that was paused while another was elected confirms no read"],
    "read-old-leader.txt",
  ],
  "ReadIndex: during transfer": [
    [reads, "ReadIndex §6.4: reads go on while leadership is handed over, and none is lost without an answer"],
    "read-during-transfer.txt",
  ],
  "transfer: to an up-to-date node": [
    [transfer, "Transfer §3.10: to an up-to-date voter takes no time, in spite of the lease"],
    "transfer-up-to-date.txt",
  ],
  "transfer: to a slow node": [
    [transfer, "Transfer §3.10: a slow target is brought up to date first, with proposals under way"],
    "transfer-slow.txt",
  ],
  "transfer: to a lost node": [
    [transfer, "Transfer §3.10: to a lost node is given up after an election timeout, and the leader goes on"],
    "transfer-lost.txt",
  ],
  "transfer: to a removed node": [
    ["leaving.test.ts", "Leaving: a transfer to a node that was removed changes nothing"],
    "transfer-removed.txt",
  ],
  "transfer: with proposals under way": [
    [transfer, "Transfer §3.10: a slow target is brought up to date first, with proposals under way"],
    [transfer, "Transfer §3.10: meanwhile proposals are refused, and no entry is lost"],
  ],
  "snapshot: follower behind the trimmed log": [
    [snapshot, "Snapshot: a follower behind the trimmed log is asked to pull one, installs it, and replicates on"],
    "snapshot-follower-behind.txt",
  ],
  "snapshot: crash while receiving": [
    [snapshot, "Snapshot: a crash while receiving begins anew"],
    [snapshot, "Snapshot: a crash between its install and the reset of the log begins at the snapshot"],
    "snapshot-crash-while-receiving.txt",
  ],
  "snapshot: resume": [[pulled, "a transfer that breaks goes on where it stood, with the same source"]],
  "snapshot: a second one before the first is stored": [
    [
      snapshot,
      "Snapshot: a second one before the first is stored: the newer request counts, the older install is enough where the log goes on",
    ],
    "snapshot-second.txt",
  ],
  "snapshot: to an unreachable peer must not block others": [
    [snapshot, "Snapshot: a peer that cannot be reached, or never installs, does not hold up the others"],
  ],
  "flow control: paused": [
    [
      replication,
      "Raft: at most maxInflightAppends are under way to one follower; an answer makes room (flow control)",
    ],
    "flow-paused.txt",
  ],
  "flow control: probing": [
    [replication, "Raft: while probing, one append is under way at a time; a match opens the window (flow control)"],
    "flow-probing.txt",
  ],
  "flow control: bounded uncommitted bytes": [
    [
      replication,
      "Raft: proposals beyond the uncommitted limit are refused until something commits; one always fits (flow control)",
    ],
    "flow-uncommitted-bytes.txt",
  ],
  "fast back-up over 50 diverging entries": [
    [core, "Raft §5.3: logs that differ in sixty entries of two terms agree after three refusals (fast back-up)"],
    "replication-fast-back-up.txt",
  ],
  "reordered, duplicated, late messages": [
    [core, "Raft §5.3: what is there already is not touched by a late or repeated append"],
    [replication, "Raft: an acknowledgement that comes twice, late or out of order moves nothing back"],
    ["random.test.ts", "Raft: random histories of three nodes keep every safety property, and end healthy"],
    "replication-reordered.txt",
  ],
};

const folder = join(import.meta.dirname, "..");

test("Scenarios: each one is proved by the tests and traces that are named for it", () => {
  const missing = Object.entries(scenarios).flatMap(([scenario, proofs]) =>
    proofs.filter((proof) => !exists(proof)).map((proof) => `${scenario}: ${String(proof)}`),
  );
  assert.deepEqual(missing, []);
});

function exists(proof: readonly [file: string, title: string] | string): boolean {
  if (typeof proof === "string") return readFileSync(join(folder, "traces", proof), "utf8").startsWith("# ");
  const [file, title] = proof;
  return readFileSync(join(folder, file), "utf8").includes(`test("${title}", `);
}
