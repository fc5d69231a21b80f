import { crc32 } from "node:zlib";
import { logIndex } from "../base/ids.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import type { SnapshotChunk, SnapshotCursor } from "./types.ts";

/**
 * The answer to `GET /peer/snapshot`:
 *
 *   u32 CRC-32 of the rest │ u8 last │ 16 bytes session │ u64 applied │ u32 count
 *   count × (u32 key length, u32 value length, key, value)
 */
export function encodeSnapshotChunk(chunk: SnapshotChunk): Buffer {
  let sizeBytes = 33;
  for (const row of chunk.rows) sizeBytes += 8 + row.key.length + row.value.length;
  const writer = new ByteWriter(sizeBytes).u32(0).u8(chunk.last ? 1 : 0);
  writer.raw(Buffer.from(chunk.session, "hex")).whole(chunk.applied).u32(chunk.rows.length);
  for (const { key, value } of chunk.rows) writer.u32(key.length).u32(value.length).raw(key).raw(value);
  const bytes = writer.finish();
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/** The chunk, or undefined when its checksum does not fit or it is anything else. Rows are views into `bytes`. */
export function decodeSnapshotChunk(bytes: Buffer): SnapshotChunk | undefined {
  const reader = new ByteReader(bytes);
  const checksum = reader.u32();
  if (reader.failed || crc32(bytes.subarray(4)) !== checksum) return undefined;
  const last = reader.u8();
  const session = reader.raw(16).toString("hex");
  const applied = logIndex(reader.whole());
  const count = reader.u32();
  if (last > 1 || count * 8 > reader.remaining) return undefined;
  const rows: { key: Uint8Array; value: Uint8Array }[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const keyBytes = reader.u32();
    const valueBytes = reader.u32();
    rows.push({ key: reader.raw(keyBytes), value: reader.raw(valueBytes) });
  }
  return reader.complete ? { session, applied, rows, last: last === 1 } : undefined;
}

/** The path with the query that asks for the chunk after `at`. */
export function snapshotPath(at: SnapshotCursor | undefined): string {
  if (at === undefined) return "/peer/snapshot";
  return `/peer/snapshot?session=${at.session}&after=${Buffer.from(at.after).toString("base64url")}`;
}

/** The cursor of a query; `malformed` when it has one that cannot be read. */
export function cursorOfQuery(query: Readonly<Record<string, unknown>>): SnapshotCursor | undefined | "malformed" {
  const { session, after } = query;
  if (session === undefined && after === undefined) return undefined;
  if (typeof session !== "string" || typeof after !== "string") return "malformed";
  if (!isSession(session) || !/^[\w-]{1,8192}$/.test(after)) return "malformed";
  return { session, after: Buffer.from(after, "base64url") };
}

/** Sessions are 16 random bytes in hexadecimal. */
function isSession(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}
