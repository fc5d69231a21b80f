import { maskedCrc32c } from "./crc32c.ts";

/**
 * One whole record of a LevelDB log file: a batch in a write-ahead log, an edit in a manifest.
 *
 * Such a file (LevelDB's `doc/log_format.md`):
 *
 *   block of 32 KiB:  fragment* · up to 6 bytes that no fragment header fits into
 *   fragment:         crc32c 4 · length 2 · kind 1 (full, first, middle, last) · payload
 *   record:           one full fragment, or a first one, middle ones and a last one
 */
export interface LevelRecord {
  readonly payload: Buffer;
  /** Offset in the file of the byte behind it. */
  readonly end: number;
}

/**
 * What comes behind the last whole record: nothing, the beginning of one that the file ends in, nothing but zeros (the
 * file had grown and its pages had not been written), or something else.
 */
export type LevelLogEnd = "whole" | "cut off" | "zeros" | "damaged";

const blockBytes = 32_768;
const headerBytes = 7;
const kinds = ["full", "first", "middle", "last"] as const;

interface Fragment {
  readonly kind: (typeof kinds)[number];
  readonly payload: Buffer;
  readonly end: number;
}

/**
 * The records up to the first that is not whole. LevelDB itself goes on behind that one: it skips zeros without a word,
 * and what has a wrong checksum with one in its own log only.
 */
export function readLevelLog(file: Buffer): { readonly records: readonly LevelRecord[]; readonly end: LevelLogEnd } {
  const records: LevelRecord[] = [];
  let parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const left = blockBytes - (at % blockBytes);
    if (left < headerBytes) {
      at += left;
      continue;
    }
    const fragment = fragmentAt(file, at, left);
    if (fragment === "whole" && parts.length > 0) return { records, end: "cut off" };
    if (typeof fragment === "string") return { records, end: fragment };
    const { kind, payload } = fragment;
    if ((kind === "full" || kind === "first") !== (parts.length === 0)) return { records, end: "damaged" };
    at = fragment.end;
    parts.push(payload);
    if (kind === "full" || kind === "last") {
      records.push({ payload: parts.length === 1 ? payload : Buffer.concat(parts), end: at });
      parts = [];
    }
  }
}

// In the order of LevelDB's own reader, so that both see the same end.
function fragmentAt(file: Buffer, at: number, leftInBlock: number): Fragment | LevelLogEnd {
  if (at >= file.byteLength) return "whole";
  if (at + headerBytes > file.byteLength) return "cut off";
  const end = at + headerBytes + file.readUInt16LE(at + 4);
  if (end > file.byteLength || end - at > leftInBlock) {
    return at + leftInBlock > file.byteLength ? "cut off" : "damaged";
  }
  const kind = kinds[file.readUInt8(at + 6) - 1];
  if (kind === undefined) return file.subarray(at).every((byte) => byte === 0) ? "zeros" : "damaged";
  if (file.readUInt32LE(at) !== maskedCrc32c(file.subarray(at + 6, end))) return "damaged";
  return { kind, payload: file.subarray(at + headerBytes, end), end };
}
