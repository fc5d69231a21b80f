import { hash } from "node:crypto";
import { type LogIndex, logIndex, term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Entry, EntryKind, LogPosition } from "../raft/types.ts";

/**
 * A log entry as it rests in LevelDB. Its chain hash covers the one before, so it is checksum, gap detector and
 * fingerprint of the whole log up to here, in one.
 *
 *    0  16  chain hash: the first half of the SHA-256 of all that follows
 *   16  16  chain hash of the entry before, or of the base
 *   32   8  index
 *   40   8  term
 *   48   1  kind
 *   49   …  data, as it was proposed
 *
 * Chains are this node's own affair: two nodes with the same entries and other bases have other chains.
 */
const kinds: readonly EntryKind[] = ["noop", "command", "configuration"];
const chainBytes = 16;
const headerBytes = 49;

/** A place in the log with its chain hash, as 32 hexadecimal digits. */
export interface ChainedPosition extends LogPosition {
  readonly chain: string;
}

/** The entry's bytes on disk, continuing the chain after `before`, and where the log then stands. */
export function encodeEntry(entry: Entry, before: ChainedPosition): { value: Uint8Array; at: ChainedPosition } {
  invariant(
    entry.index === before.index + 1 && entry.term >= before.term,
    () => `entry ${entry.index} of term ${entry.term} cannot follow ${before.index} of term ${before.term}`,
  );
  const value = Buffer.allocUnsafe(headerBytes + entry.data.byteLength);
  value.write(before.chain, chainBytes, "hex");
  value.writeBigUInt64BE(BigInt(entry.index), 32);
  value.writeBigUInt64BE(BigInt(entry.term), 40);
  value.writeUInt8(kinds.indexOf(entry.kind), 48);
  value.set(entry.data, headerBytes);
  const chain = digest(value.subarray(chainBytes));
  value.write(chain, 0, "hex");
  return { value, at: { index: entry.index, term: entry.term, chain } };
}

/** The entry that shall follow `before`, or what is wrong with its bytes. */
export function decodeEntry(
  bytes: Uint8Array,
  before: ChainedPosition,
): { readonly entry: Entry; readonly at: ChainedPosition } | { readonly damage: string } {
  const read = decodeAlone(bytes, logIndex(before.index + 1));
  if ("damage" in read) return read;
  if (read.chainBefore !== before.chain) return { damage: `entry ${read.at.index} does not continue the one before` };
  if (read.at.term < before.term) return { damage: `entry ${read.at.index} goes back to term ${read.at.term}` };
  return read;
}

/** The entry at `index`, checked by itself and not against the one before. */
export function decodeAlone(
  bytes: Uint8Array,
  index: LogIndex,
): { readonly entry: Entry; readonly at: ChainedPosition; readonly chainBefore: string } | { readonly damage: string } {
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (value.byteLength < headerBytes) return { damage: `entry ${index} is cut to ${value.byteLength} bytes` };
  const chain = value.toString("hex", 0, chainBytes);
  if (chain !== digest(value.subarray(chainBytes))) return { damage: `entry ${index} has a wrong checksum` };
  const stored = Number(value.readBigUInt64BE(32));
  if (stored !== index) return { damage: `entry ${stored} lies in the place of ${index}` };
  const kind = kinds[value.readUInt8(48)];
  if (kind === undefined) return { damage: `entry ${index} is of unknown kind` };
  const at = { index, term: term(Number(value.readBigUInt64BE(40))), chain };
  return {
    entry: { index, term: at.term, kind, data: value.subarray(headerBytes) },
    at,
    chainBefore: value.toString("hex", chainBytes, 2 * chainBytes),
  };
}

/** Where a log begins that stands on nothing but `base`: founding, or a snapshot. */
export function freshBase(base: LogPosition): ChainedPosition {
  return { index: base.index, term: base.term, chain: digest(Buffer.from(`log after ${base.index} of ${base.term}`)) };
}

/** The base row: 16 bytes checksum, 16 chain hash, 8 index, 8 term. */
export function encodeBase(base: ChainedPosition): Uint8Array {
  const value = Buffer.alloc(48);
  value.write(base.chain, chainBytes, "hex");
  value.writeBigUInt64BE(BigInt(base.index), 32);
  value.writeBigUInt64BE(BigInt(base.term), 40);
  value.write(digest(value.subarray(chainBytes)), 0, "hex");
  return value;
}

/** The base, or undefined when the row is damaged. */
export function decodeBase(bytes: Uint8Array): ChainedPosition | undefined {
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (value.byteLength !== 48 || value.toString("hex", 0, chainBytes) !== digest(value.subarray(chainBytes))) {
    return undefined;
  }
  return {
    index: logIndex(Number(value.readBigUInt64BE(32))),
    term: term(Number(value.readBigUInt64BE(40))),
    chain: value.toString("hex", chainBytes, 2 * chainBytes),
  };
}

/** Where the base row lies; before all entries. */
export const baseKey: Uint8Array = Buffer.of(0);

/** Where the entry at `index` lies: keys are in index order. */
export function entryKey(index: number): Uint8Array {
  const key = Buffer.allocUnsafe(9);
  key.writeUInt8(1, 0);
  key.writeBigUInt64BE(BigInt(index), 1);
  return key;
}

/** Behind all entries. */
export const entriesEnd: Uint8Array = Buffer.of(2);

function digest(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex").slice(0, 2 * chainBytes);
}
