import type { FileRecordJson } from "../../client/wire.ts";
import { fileTag } from "../catalog/preconditions.ts";
import type { FileRecord } from "../catalog/types.ts";

/** A record as clients see it. */
export function recordJson(record: FileRecord): FileRecordJson {
  return {
    name: record.name,
    size: record.blob.sizeBytes,
    sha256: record.blob.sha256,
    contentType: record.contentType,
    replicas: record.replicas,
    version: record.version,
    etag: fileTag(record.blob.sha256),
    createdAt: isoTime(record.createdAt),
    updatedAt: isoTime(record.updatedAt),
    placement: record.holders.map(({ node, state }) => ({ node, state })),
  };
}

/** Milliseconds since 1970 as RFC 3339. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
