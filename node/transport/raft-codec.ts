import { type LogIndex, logIndex, type NodeId, parseNodeId, term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Entry, EntryKind, LogPosition, RaftMessage } from "../raft/types.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";

/**
 * Raft messages as bytes: u8 kind, u64 term, then by kind. Numbers are big-endian; entries carry the bytes they were
 * proposed as, and no index: they follow `previous` without a gap.
 *
 *   append-request   previous {index, term}, commitIndex, u32 count, count × (u64 term, u8 kind, u32 length, bytes)
 *   append-response  u8 1, matchIndex │ u8 0, previousIndex, hint {index, term}
 *   transfer-request u8 length, the node's id in ASCII; length 0: whoever is furthest
 */
export function encodeRaftMessage(message: RaftMessage): Buffer {
  const head = (sizeBytes: number) => new ByteWriter(9 + sizeBytes).u8(kinds[message.type]).whole(message.term);
  switch (message.type) {
    case "pre-vote-request":
      return position(head(16), message.last).finish();
    case "vote-request":
      return position(head(17), message.last)
        .u8(message.transfer ? 1 : 0)
        .finish();
    case "pre-vote-response":
    case "vote-response":
      return head(1)
        .u8(message.granted ? 1 : 0)
        .finish();
    case "append-request":
      return encodeAppendRequest(message, head(28 + entriesBytes(message.entries)));
    case "append-response":
      return encodeAppendResponse(message, head(message.result.type === "matched" ? 9 : 25));
    case "heartbeat-request":
      return head(16).whole(message.commitIndex).whole(message.round).finish();
    case "heartbeat-response":
      return head(8).whole(message.round).finish();
    case "install-snapshot-request":
      return position(head(16), message.snapshot).finish();
    case "read-index-request":
      return head(8).whole(message.position).finish();
    case "read-index-response":
      return head(17)
        .whole(message.position)
        .u8(message.readIndex === undefined ? 0 : 1)
        .whole(message.readIndex ?? 0)
        .finish();
    case "timeout-now":
      return head(0).finish();
    case "transfer-request": {
      const to = Buffer.from(message.to ?? "", "latin1");
      return head(1 + to.length)
        .u8(to.length)
        .raw(to)
        .finish();
    }
  }
}

/** The message, or undefined when the bytes are not exactly one. Entries are views into `bytes`. */
export function decodeRaftMessage(bytes: Buffer): RaftMessage | undefined {
  const reader = new ByteReader(bytes);
  const type = kindNames[reader.u8()];
  const at = { term: term(reader.whole()) };
  if (reader.failed || type === undefined) return undefined;
  const message = decodeBody(type, at, reader);
  return reader.complete ? message : undefined;
}

function decodeBody(type: RaftMessage["type"], at: Pick<RaftMessage, "term">, reader: ByteReader): RaftMessage {
  switch (type) {
    case "pre-vote-request":
      return { type, ...at, last: readPosition(reader) };
    case "vote-request":
      return { type, ...at, last: readPosition(reader), transfer: readFlag(reader) };
    case "pre-vote-response":
    case "vote-response":
      return { type, ...at, granted: readFlag(reader) };
    case "append-request": {
      const previous = readPosition(reader);
      const commitIndex = readIndex(reader);
      return { type, ...at, previous, commitIndex, entries: readEntries(reader, previous.index) };
    }
    case "append-response":
      return { type, ...at, result: readAppendResult(reader) };
    case "heartbeat-request":
      return { type, ...at, commitIndex: readIndex(reader), round: reader.whole() };
    case "heartbeat-response":
      return { type, ...at, round: reader.whole() };
    case "install-snapshot-request":
      return { type, ...at, snapshot: readPosition(reader) };
    case "read-index-request":
      return { type, ...at, position: reader.whole() };
    case "read-index-response": {
      const position = reader.whole();
      const granted = readFlag(reader);
      const readIndex = readIndexOf(reader, granted);
      return { type, ...at, position, readIndex };
    }
    case "timeout-now":
      return { type, ...at };
    case "transfer-request":
      return { type, ...at, to: readNode(reader) };
  }
}

type AppendRequest = Extract<RaftMessage, { type: "append-request" }>;
type AppendResponse = Extract<RaftMessage, { type: "append-response" }>;

function encodeAppendRequest(message: AppendRequest, writer: ByteWriter): Buffer {
  position(writer, message.previous).whole(message.commitIndex).u32(message.entries.length);
  let index: number = message.previous.index;
  for (const entry of message.entries) {
    index += 1;
    invariant(entry.index === index, () => `entry ${entry.index} sent as ${index}`);
    writer.whole(entry.term).u8(entryKinds.indexOf(entry.kind)).u32(entry.data.length).raw(entry.data);
  }
  return writer.finish();
}

function encodeAppendResponse(message: AppendResponse, writer: ByteWriter): Buffer {
  const { result } = message;
  if (result.type === "matched") return writer.u8(1).whole(result.matchIndex).finish();
  return position(writer.u8(0).whole(result.previousIndex), result.hint).finish();
}

function readAppendResult(reader: ByteReader): AppendResponse["result"] {
  if (readFlag(reader)) return { type: "matched", matchIndex: readIndex(reader) };
  return { type: "rejected", previousIndex: readIndex(reader), hint: readPosition(reader) };
}

function readEntries(reader: ByteReader, previous: LogIndex): readonly Entry[] {
  const count = reader.u32();
  // A count is believed only as far as the bytes after it could hold that many.
  if (count * entryHeadBytes > reader.remaining || previous + count > Number.MAX_SAFE_INTEGER) reader.fail();
  const entries: Entry[] = [];
  for (let at = 1; at <= count && !reader.failed; at += 1) {
    const entryTerm = term(reader.whole());
    const kind = entryKinds[reader.u8()];
    const data = reader.raw(reader.u32());
    if (kind === undefined) reader.fail();
    else entries.push({ index: logIndex(previous + at), term: entryTerm, kind, data });
  }
  return entries;
}

function entriesBytes(entries: readonly Entry[]): number {
  let sizeBytes = 0;
  for (const entry of entries) sizeBytes += entryHeadBytes + entry.data.length;
  return sizeBytes;
}

function position(writer: ByteWriter, at: LogPosition): ByteWriter {
  return writer.whole(at.index).whole(at.term);
}

function readPosition(reader: ByteReader): LogPosition {
  return { index: readIndex(reader), term: term(reader.whole()) };
}

function readIndex(reader: ByteReader): LogIndex {
  return logIndex(reader.whole());
}

function readIndexOf(reader: ByteReader, present: boolean): LogIndex | undefined {
  const index = readIndex(reader);
  if (!present && index !== 0) reader.fail();
  return present ? index : undefined;
}

function readNode(reader: ByteReader): NodeId | undefined {
  const sizeBytes = reader.u8();
  if (sizeBytes === 0) return undefined;
  const id = parseNodeId(reader.raw(sizeBytes).toString("latin1"));
  if (id === undefined) reader.fail();
  return id;
}

function readFlag(reader: ByteReader): boolean {
  const value = reader.u8();
  if (value > 1) reader.fail();
  return value === 1;
}

const entryHeadBytes = 13;
const entryKinds: readonly EntryKind[] = ["noop", "command", "configuration"];
const kindNames: readonly (RaftMessage["type"] | undefined)[] = [
  undefined,
  "pre-vote-request",
  "pre-vote-response",
  "vote-request",
  "vote-response",
  "append-request",
  "append-response",
  "heartbeat-request",
  "heartbeat-response",
  "install-snapshot-request",
  "read-index-request",
  "read-index-response",
  "timeout-now",
  "transfer-request",
];
const kinds = Object.fromEntries(kindNames.map((name, kind) => [name, kind])) as Record<RaftMessage["type"], number>;
