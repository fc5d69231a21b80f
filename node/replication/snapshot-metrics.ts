import { Counter, Histogram, type Metrics } from "../base/metrics.ts";
import type { SnapshotChunk } from "../transport/types.ts";
import type { SnapshotTransfer } from "./snapshot-install.ts";

const transferSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000];

/** Counts the catalogs that travel between nodes. */
export function countSnapshots(registers: Metrics[]) {
  const sent = new Counter({
    name: "deposito_snapshots_sent_total",
    help: "Catalogs whose last chunk was handed to a peer",
    registers,
  });
  const sentBytes = new Counter({
    name: "deposito_snapshot_sent_bytes_total",
    help: "Keys and values of catalogs handed to peers",
    registers,
  });
  const received = new Counter({
    name: "deposito_snapshots_received_total",
    help: "Transfers of a catalog to this node that were begun, by how they ended",
    labelNames: ["result"],
    registers,
  });
  const receivedBytes = new Counter({
    name: "deposito_snapshot_received_bytes_total",
    help: "Keys and values of catalogs that arrived from peers, those of failed transfers included",
    registers,
  });
  const receiveSeconds = new Histogram({
    name: "deposito_snapshot_receive_seconds",
    help: "How long a complete transfer took",
    buckets: transferSeconds,
    registers,
  });
  return {
    snapshotChunkSent({ rows, last }: SnapshotChunk): void {
      let sizeBytes = 0;
      for (const { key, value } of rows) sizeBytes += key.byteLength + value.byteLength;
      sentBytes.inc(sizeBytes);
      if (last) sent.inc();
    },
    snapshotReceived({ result, sizeBytes, durationMs }: SnapshotTransfer): void {
      received.inc({ result });
      receivedBytes.inc(sizeBytes);
      if (result === "complete") receiveSeconds.observe(durationMs / 1000);
    },
  };
}
