import type { NodeId } from "../base/ids.ts";
import { Counter, Gauge, type Metrics } from "../base/metrics.ts";
import type { Leadership, RaftStatus, Role } from "../raft/types.ts";

const roles: readonly Role[] = ["follower", "pre-candidate", "candidate", "leader"];
const progressStates = ["probe", "replicate", "snapshot"] as const;

/** Shows what the core says of itself, and, while it leads, what it knows of its followers. */
export function showRaft(registers: Metrics[], raft: () => RaftStatus): void {
  const show = (name: string, help: string, value: (status: RaftStatus) => number) => {
    const gauge: Gauge = new Gauge({ name, help, registers, collect: () => gauge.set(value(raft())) });
  };
  show("deposito_raft_term", "The current term", ({ term }) => term);
  show("deposito_raft_commit_index", "The last committed log index known here", ({ commitIndex }) => commitIndex);
  show("deposito_raft_applied_index", "The last log index applied here", ({ applied }) => applied);
  show("deposito_raft_last_index", "The last log index held here", ({ last }) => last.index);
  show("deposito_raft_is_leader", "1 while this node leads", ({ role }) => (role === "leader" ? 1 : 0));
  show(
    "deposito_raft_lost_promises",
    "1 while this node does not vote because its log lost entries",
    ({ lostPromises }) => (lostPromises ? 1 : 0),
  );
  const role: Gauge<"role"> = new Gauge({
    name: "deposito_raft_role",
    help: "1 for the role this node has, 0 for the others",
    labelNames: ["role"],
    registers,
    collect() {
      const now = raft().role;
      for (const each of roles) role.set({ role: each }, each === now ? 1 : 0);
    },
  });
  showFollowers(registers, raft);
}

/** Nothing is shown on a node that does not lead: it knows nothing of them. */
function showFollowers(registers: Metrics[], raft: () => RaftStatus): void {
  const match: Gauge<"peer"> = new Gauge({
    name: "deposito_raft_peer_match_index",
    help: "The last log index that the follower is known to hold; on the leader only",
    labelNames: ["peer"],
    registers,
    collect() {
      match.reset();
      for (const [peer, { matchIndex }] of raft().progress) match.set({ peer }, matchIndex);
    },
  });
  const lag: Gauge<"peer"> = new Gauge({
    name: "deposito_raft_peer_lag_entries",
    help: "Entries of the leader's log that the follower is not known to hold; on the leader only",
    labelNames: ["peer"],
    registers,
    collect() {
      lag.reset();
      const { progress, last } = raft();
      for (const [peer, { matchIndex }] of progress) lag.set({ peer }, last.index - matchIndex);
    },
  });
  const state: Gauge<"peer" | "state"> = new Gauge({
    name: "deposito_raft_peer_state",
    help: "1 for how the leader replicates to the follower, 0 for the other ways; on the leader only",
    labelNames: ["peer", "state"],
    registers,
    collect() {
      state.reset();
      for (const [peer, { state: now }] of raft().progress)
        for (const each of progressStates) state.set({ peer, state: each }, each === now ? 1 : 0);
    },
  });
}

/** Counts elections, as each change of leadership tells of them. */
export function countElections(registers: Metrics[]) {
  const count = (name: string, help: string) => new Counter({ name, help, registers });
  const started = count("deposito_raft_elections_started_total", "Elections in which this node stood");
  const won = count("deposito_raft_elections_won_total", "Elections that this node won");
  const changes = count("deposito_raft_leader_changes_total", "How often this node learned of another leader");
  let stoodInTerm = 0;
  let wonInTerm = 0;
  let lastLeader: NodeId | undefined;
  return {
    leadershipChanged({ role, term, leader }: Leadership): void {
      // One that is won within a step was never seen as a candidacy.
      if ((role === "candidate" || role === "leader") && term !== stoodInTerm) {
        stoodInTerm = term;
        started.inc();
      }
      if (role === "leader" && term !== wonInTerm) {
        wonInTerm = term;
        won.inc();
      }
      if (leader === undefined || leader === lastLeader) return;
      lastLeader = leader;
      changes.inc();
    },
  };
}
