import { Counter, Gauge, Histogram, type Metrics } from "../base/metrics.ts";
import type { RaftStatus, Role } from "../raft/types.ts";

/** What replication counts. */
export interface ReplicationMetrics {
  /** One write of the log was synced. */
  logSynced(durationMs: number, entries: number): void;
  snapshotInstalled(): void;
}

/** What replication shows as it stands, asked for each time `/metrics` is. */
export interface ReplicationGauges {
  readonly raft: () => RaftStatus;
  readonly pendingProposals: () => number;
  readonly waitingReads: () => number;
}

const roles: readonly Role[] = ["follower", "pre-candidate", "candidate", "leader"];

/** Registers what consensus tells of itself; with no registry it is counted and shown nowhere. */
export function createReplicationMetrics(metrics: Metrics | undefined, shown: ReplicationGauges): ReplicationMetrics {
  const registers = metrics === undefined ? [] : [metrics];
  const { raft } = shown;
  const show = (name: string, help: string, value: () => number) => {
    const gauge: Gauge = new Gauge({ name, help, registers, collect: () => gauge.set(value()) });
  };
  show("deposito_raft_term", "The current term", () => raft().term);
  show("deposito_raft_commit_index", "The last committed log index known here", () => raft().commitIndex);
  show("deposito_raft_applied_index", "The last log index applied here", () => raft().applied);
  show("deposito_raft_is_leader", "1 while this node leads", () => (raft().role === "leader" ? 1 : 0));
  show("deposito_proposals_pending", "Changes of this door that wait for their outcome", shown.pendingProposals);
  show("deposito_reads_waiting", "Reads of this door that wait for a majority", shown.waitingReads);
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
  const syncSeconds = new Histogram({
    name: "deposito_log_sync_seconds",
    help: "How long a write of the log took, its syncs included",
    buckets: [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 4],
    registers,
  });
  const syncEntries = new Histogram({
    name: "deposito_log_sync_entries",
    help: "Entries that one write of the log made durable",
    buckets: [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096],
    registers,
  });
  const snapshots = new Counter({
    name: "deposito_snapshots_installed_total",
    help: "Catalogs that were installed from a peer while this node ran",
    registers,
  });
  return {
    logSynced(durationMs, entries) {
      syncSeconds.observe(durationMs / 1000);
      syncEntries.observe(entries);
    },
    snapshotInstalled: () => snapshots.inc(),
  };
}
