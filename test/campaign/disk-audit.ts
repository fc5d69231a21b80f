import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { RecordBody } from "../support/api-client.ts";
import type { ClusterMember } from "../support/cluster-member.ts";
import { type ReplicaOnDisk, replicasIn } from "../support/replicas-on-disk.ts";
import type { Violation } from "./violation.ts";

export interface DiskAudit {
  readonly violations: readonly Violation[];
  /** Intact replicas that records name. */
  readonly replicas: number;
  /** What lies on the disks and no record names: copies of deposits that failed. */
  readonly litterFiles: number;
  readonly litterBytes: number;
}

/** Looks at the disks of nodes that were stopped in order: each replica that a record calls present must lie there, intact. */
export function auditDisks(members: readonly ClusterMember[], records: readonly RecordBody[]): DiskAudit {
  const violations: Violation[] = [];
  let litterFiles = 0;
  let litterBytes = 0;
  let replicas = 0;
  for (const { id, dataDir } of members) {
    const onDisk = Map.groupBy(replicasIn(dataDir), ({ sha256 }) => sha256);
    for (const { name, sha256, placement } of records) {
      if (!placement.some(({ node, state }) => node === id && state === "present")) continue;
      if (takeIntact(onDisk.get(sha256))) replicas++;
      else violations.push({ kind: "replicas", text: `${id} has no intact replica of ${name}, ${sha256}` });
    }
    const rest = [...onDisk.values()].flat();
    litterFiles += rest.length;
    litterBytes += rest.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const staged = stageOf(dataDir);
    if (staged.length > 0) violations.push({ kind: "leftover", text: `${id} left stages: ${staged.join(", ")}` });
  }
  return { violations, replicas, litterFiles, litterBytes };
}

/** Takes one intact replica out of those with the same bytes. */
function takeIntact(replicas: ReplicaOnDisk[] | undefined): boolean {
  const at = replicas?.findIndex(({ intact }) => intact) ?? -1;
  if (at >= 0) replicas?.splice(at, 1);
  return at >= 0;
}

function stageOf(dataDir: string): readonly string[] {
  const folder = join(dataDir, "stage");
  return existsSync(folder) ? readdirSync(folder) : [];
}
