import { Counter, Gauge, Histogram, type Metrics } from "../base/metrics.ts";
import type { Leadership, RaftStatus } from "../raft/types.ts";
import type { SnapshotChunk } from "../transport/types.ts";
import type { QueueDepth } from "./queue-depth.ts";
import { countElections, showRaft } from "./raft-metrics.ts";
import type { SnapshotTransfer } from "./snapshot-install.ts";
import { countSnapshots } from "./snapshot-metrics.ts";

/** What replication counts. */
export interface ReplicationMetrics {
  /** One write of the log was synced. */
  logSynced(durationMs: number, entries: number): void;
  /** One batch of entries is in the catalog. */
  applied(durationMs: number, entries: number): void;
  leadershipChanged(change: Leadership): void;
  snapshotChunkSent(chunk: SnapshotChunk): void;
  /** A transfer to this node has ended. */
  snapshotReceived(transfer: SnapshotTransfer): void;
  snapshotInstalled(): void;
}

/** What replication shows as it stands, asked for each time `/metrics` is. */
export interface ReplicationGauges {
  readonly raft: () => RaftStatus;
  /** Changes of this door that wait for their outcome. */
  readonly proposals: () => QueueDepth;
  readonly waitingReads: () => number;
  /** Entries that wait for the log's next write. */
  readonly unwritten: () => QueueDepth;
  /** Committed entries that wait to be applied. */
  readonly unapplied: () => QueueDepth;
}

const writeSeconds = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 4];
const batchEntries = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

/** Registers what consensus tells of itself; with no registry it is counted and shown nowhere. */
export function createReplicationMetrics(metrics: Metrics | undefined, shown: ReplicationGauges): ReplicationMetrics {
  const registers = metrics === undefined ? [] : [metrics];
  showRaft(registers, shown.raft);
  showQueues(registers, shown);
  const observe = (name: string, help: string, buckets: number[]) => new Histogram({ name, help, buckets, registers });
  const syncSeconds = observe(
    "deposito_log_sync_seconds",
    "How long a write of the log took, its syncs included",
    writeSeconds,
  );
  const syncEntries = observe(
    "deposito_log_sync_entries",
    "Entries that one write of the log made durable",
    batchEntries,
  );
  const applySeconds = observe(
    "deposito_apply_seconds",
    "How long a batch of entries took to decide and to write into the catalog",
    writeSeconds,
  );
  const applyEntries = observe("deposito_apply_entries", "Entries that one write of the catalog applied", batchEntries);
  const installed = new Counter({
    name: "deposito_snapshots_installed_total",
    help: "Catalogs from a peer that took the place of this node's while it ran",
    registers,
  });
  return {
    ...countElections(registers),
    ...countSnapshots(registers),
    logSynced(durationMs, entries) {
      syncSeconds.observe(durationMs / 1000);
      syncEntries.observe(entries);
    },
    applied(durationMs, entries) {
      applySeconds.observe(durationMs / 1000);
      applyEntries.observe(entries);
    },
    snapshotInstalled: () => installed.inc(),
  };
}

function showQueues(registers: Metrics[], shown: ReplicationGauges): void {
  const show = (name: string, help: string, value: () => number) => {
    const gauge: Gauge = new Gauge({ name, help, registers, collect: () => gauge.set(value()) });
  };
  show("deposito_proposals_pending", "Changes of this door that wait for their outcome", () => shown.proposals().count);
  show("deposito_proposals_pending_bytes", "Their bytes", () => shown.proposals().sizeBytes);
  show("deposito_reads_waiting", "Reads of this door that wait for a majority", shown.waitingReads);
  show("deposito_log_unwritten_entries", "Entries that wait for the log's next write", () => shown.unwritten().count);
  show("deposito_log_unwritten_bytes", "Their bytes", () => shown.unwritten().sizeBytes);
  show("deposito_apply_queue_entries", "Committed entries that wait to be applied", () => shown.unapplied().count);
  show("deposito_apply_queue_bytes", "Their bytes", () => shown.unapplied().sizeBytes);
}
