import { Counter, Gauge, type Metrics } from "../../base/metrics.ts";

/** What the blob store tells of itself at `/metrics`. */
export interface BlobMetrics {
  readonly commits: Counter;
  readonly fileSyncs: { inc(): void };
  readonly directorySyncs: { inc(): void };
  readonly damaged: Counter;
}

/** Registers the store's counters; with no registry they are counted and shown nowhere. */
export function createBlobMetrics(metrics: Metrics | undefined): BlobMetrics {
  const registers = metrics === undefined ? [] : [metrics];
  const syncs = new Counter({
    name: "deposito_blob_syncs_total",
    help: "Syncs of blob files and of the directories they lie in",
    labelNames: ["of"],
    registers,
  });
  return {
    commits: new Counter({ name: "deposito_blob_commits_total", help: "Blobs made durable", registers }),
    damaged: new Counter({
      name: "deposito_blob_damaged_total",
      help: "Reads that met a blob with a wrong checksum, length or header",
      registers,
    }),
    fileSyncs: syncs.labels("file"),
    directorySyncs: syncs.labels("directory"),
  };
}

/** Registers what the store holds. */
export function showUsage(
  metrics: Metrics | undefined,
  usage: () => { readonly files: number; readonly bytes: number },
): void {
  if (metrics === undefined) return;
  const show = (name: string, help: string, value: () => number) => {
    const gauge: Gauge = new Gauge({ name, help, registers: [metrics], collect: () => gauge.set(value()) });
  };
  show("deposito_blobs", "Blobs on this node's disk", () => usage().files);
  show("deposito_blob_bytes", "Plain bytes of the blobs on this node's disk", () => usage().bytes);
}
