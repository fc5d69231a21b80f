import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

// Reads a node's blobs with eyes of its own, not with the store's: what counts is what lies on the disk.
// Where things stand in a blob's file is drawn in node/storage/blobs/format.ts.

const headerBytes = 128;
const sha256At = 32;
const sizeAt = 64;

/** One blob as it lies in a data directory; `intact` says that its bytes have the digest its header names. */
export interface ReplicaOnDisk {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly intact: boolean;
}

/** Every visible blob of a node. Files that go away meanwhile are left out. */
export function replicasIn(dataDir: string): ReplicaOnDisk[] {
  const folder = join(dataDir, "blobs");
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => readReplica(join(entry.parentPath, entry.name)));
}

/** One file; none if it is gone, or no blob. */
export function readReplica(path: string): ReplicaOnDisk[] {
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const sha256 = shaOfHeader(file);
  if (sha256 === undefined) return [];
  const sizeBytes = Number(file.readBigUInt64BE(sizeAt));
  const plain = file.subarray(headerBytes, headerBytes + sizeBytes);
  const intact = plain.length === sizeBytes && createHash("sha256").update(plain).digest("hex") === sha256;
  return [{ path, sha256, sizeBytes, intact }];
}

/** The digest that the header of a blob names; undefined when there is no such header. */
export function shaOfHeader(file: Buffer): string | undefined {
  if (file.length < headerBytes || file.toString("latin1", 0, 8) !== "deposito") return undefined;
  return file.toString("hex", sha256At, sha256At + 32);
}
