/**
 * How records, commands and outcomes are written: one msgpack array of plain fields each, in a fixed order, so that the
 * same record has the same bytes on every node. UUIDs and digests are raw bytes; a field that is not set is nil.
 *
 * Reading is strict: every field goes through one of the `…Of` functions here, which throw `Malformed` on anything else.
 */
import { Packr, Unpackr } from "msgpackr";
import { DepositoError, type ErrorCode } from "../base/errors.ts";
import {
  type LogIndex,
  logIndex,
  type NodeId,
  parseNodeId,
  parseReplicaCount,
  parseSha256,
  type ReplicaCount,
  type Sha256,
  type Staged,
  staged,
} from "../base/ids.ts";
import type { Address } from "./types.ts";
import { uuidSizeBytes, uuidText } from "./uuid-bytes.ts";

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false });

/** Fields that came from a disk or a peer and were not looked at yet. */
export type Fields = readonly unknown[];

/** A field is not what it must be; `decodeFields` turns it into a `DepositoError`. */
class Malformed extends Error {
  override readonly name = "Malformed";
}

export function encodeFields(fields: Fields): Uint8Array {
  return packr.pack(fields);
}

/**
 * Reads what `encodeFields` wrote.
 * @throws {DepositoError} `code`, when the bytes are not exactly one array that `parse` accepts.
 */
export function decodeFields<T>(bytes: Uint8Array, code: ErrorCode, what: string, parse: (fields: Fields) => T): T {
  let value: unknown;
  try {
    // A Buffer of its own: the decoder makes byte fields of the same class, and leaves a property on what it reads.
    value = unpackr.unpack(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch (cause) {
    throw new DepositoError(code, `${what} does not decode: it is not msgpack`, { cause });
  }
  try {
    return parse(listOf(value));
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new DepositoError(code, `${what} does not decode: ${cause.message}`, { cause });
  }
}

export function malformed(expected: string, value: unknown): Malformed {
  const shown = typeof value === "string" ? `"${value.slice(0, 40)}"` : typeof value;
  return new Malformed(`${expected} expected, not ${shown}`);
}

export function listOf(value: unknown): Fields {
  if (!Array.isArray(value)) throw malformed("a list", value);
  return value;
}

/** An array of exactly `length` fields. */
export function fieldsOf(value: unknown, length: number): Fields {
  if (!Array.isArray(value) || value.length !== length) throw malformed(`${length} fields`, value);
  return value;
}

/** Nil stands for undefined. */
export function optionalOf<T>(value: unknown, parse: (value: unknown) => T): T | undefined {
  return value === null ? undefined : parse(value);
}

export function textOf(value: unknown, maxLength: number): string {
  if (typeof value !== "string" || value.length > maxLength || !value.isWellFormed())
    throw malformed(`a text of at most ${maxLength} characters`, value);
  return value;
}

export function truthOf(value: unknown): boolean {
  if (typeof value !== "boolean") throw malformed("true or false", value);
  return value;
}

/** A whole number from 0. */
export function wholeOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw malformed("a whole number", value);
  return value;
}

/** The place of a value in `all`, which stands for it in the encoding; so `all` may only grow at its end. */
export function choiceOf<T extends string>(value: unknown, all: readonly T[]): T {
  const chosen = typeof value === "number" ? all[value] : undefined;
  if (chosen === undefined) throw malformed(`one of ${all.join(", ")}`, value);
  return chosen;
}

export function uuidOf<T extends string>(value: unknown, parse: (text: string) => T | undefined): T {
  const text = Buffer.isBuffer(value) && value.length === uuidSizeBytes ? uuidText(value) : "";
  const id = parse(text);
  if (id === undefined) throw malformed("a UUID", value);
  return id;
}

export function sha256Of(value: unknown): Sha256 {
  const digest = Buffer.isBuffer(value) ? parseSha256(value.toString("hex")) : undefined;
  if (digest === undefined) throw malformed("a SHA-256 digest", value);
  return digest;
}

export function nodeIdOf(value: unknown): NodeId {
  const id = typeof value === "string" ? parseNodeId(value) : undefined;
  if (id === undefined) throw malformed("a node id", value);
  return id;
}

export function replicaCountOf(value: unknown): ReplicaCount {
  const count = typeof value === "number" ? parseReplicaCount(value) : undefined;
  if (count === undefined) throw malformed("a replica count", value);
  return count;
}

export function logIndexOf(value: unknown): LogIndex {
  return logIndex(wholeOf(value));
}

export function stagedOf(value: unknown): Staged {
  return staged(wholeOf(value));
}

export function addressOf(host: unknown, port: unknown): Address {
  return { host: textOf(host, 255), port: wholeOf(port) };
}

/** Parses every element, and refuses a list in which two have the same `key`. */
export function distinctOf<T>(value: unknown, parse: (element: unknown) => T, key: (element: T) => string): T[] {
  const parsed = listOf(value).map(parse);
  if (parsed.length > 1 && new Set(parsed.map(key)).size !== parsed.length) throw malformed("distinct elements", value);
  return parsed;
}

export function sha256Bytes(digest: Sha256): Buffer {
  return Buffer.from(digest, "hex");
}
