/**
 * The whole key space of the catalog. Keys sort by bytes, so each table is one range, in the order drawn here.
 *
 *   key                                 value                          one row for
 *   10                                  members                        the group
 *   20 clientId:16                      secret hash, label, counters   a client
 *   30 clientId:16 name:UTF-8           blob, count, version, holders  a file
 *   40 node:ASCII 00 blobId:16          facts of the blob, state       a replica: present, missing or doomed
 *   50 commandId:16                     index, outcome                 a recent command
 *   60 index:u64                        commandId                      the same command, in log order
 *   F0                                  applied, digest, totals …      the catalog itself; last, and not in the digest
 *
 * The only functions that build or take apart keys are here.
 */
import { isUtf8 } from "node:buffer";
import { DepositoError } from "../base/errors.ts";
import {
  type BlobId,
  type ClientId,
  type CommandId,
  type LogIndex,
  type NodeId,
  parseBlobId,
  parseClientId,
  parseNodeId,
} from "../base/ids.ts";
import { type FileName, parseFileName } from "./names.ts";
import { uuidSizeBytes, uuidText, uuidToBytes, writeUuid } from "./uuid-bytes.ts";

/** The rows with `from` ≤ key < `before`. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly before: Uint8Array;
}

const table = { members: 0x10, client: 0x20, file: 0x30, holder: 0x40, command: 0x50, commandOrder: 0x60, meta: 0xf0 };
const fileNameOffset = 1 + uuidSizeBytes;

export const membersKey: Uint8Array = Buffer.of(table.members);
export const metaKey: Uint8Array = Buffer.of(table.meta);

export function clientKey(clientId: ClientId): Uint8Array {
  return uuidKey(table.client, clientId);
}

export function fileKey(clientId: ClientId, name: FileName): Uint8Array {
  return fileKeyOf(clientId, name);
}

export function holderKey(node: NodeId, blobId: BlobId): Uint8Array {
  return Buffer.concat([holderPrefix(node), uuidToBytes(blobId)]);
}

export function commandKey(id: CommandId): Uint8Array {
  return uuidKey(table.command, id);
}

export function commandOrderKey(index: LogIndex): Uint8Array {
  const key = Buffer.allocUnsafe(9);
  key[0] = table.commandOrder;
  key.writeUInt32BE(Math.floor(index / 2 ** 32), 1);
  key.writeUInt32BE(index % 2 ** 32, 5);
  return key;
}

/** Whose row a key of the client table is. @throws {DepositoError} `catalog-damaged` */
export function parseClientKey(key: Uint8Array): ClientId {
  const bytes = asBuffer(key);
  const clientId = bytes.length === fileNameOffset ? parseClientId(uuidText(bytes, 1)) : undefined;
  if (bytes[0] !== table.client || clientId === undefined) throw damagedKey(bytes);
  return clientId;
}

/** Whose file a key of the file table names. @throws {DepositoError} `catalog-damaged` */
export function parseFileKey(key: Uint8Array): { readonly clientId: ClientId; readonly name: FileName } {
  const bytes = asBuffer(key);
  const clientId = bytes.length > fileNameOffset ? parseClientId(uuidText(bytes, 1)) : undefined;
  const name = bytes.subarray(fileNameOffset);
  if (bytes[0] !== table.file || clientId === undefined || !isUtf8(name)) throw damagedKey(bytes);
  try {
    return { clientId, name: parseFileName(name.toString("utf8")) };
  } catch (cause) {
    throw damagedKey(bytes, cause);
  }
}

/** Which replica a key of the holder table stands for. @throws {DepositoError} `catalog-damaged` */
export function parseHolderKey(key: Uint8Array): { readonly node: NodeId; readonly blobId: BlobId } {
  const bytes = asBuffer(key);
  const blobOffset = bytes.length - uuidSizeBytes;
  if (bytes[0] !== table.holder || blobOffset < 3 || bytes[blobOffset - 1] !== 0) throw damagedKey(bytes);
  const node = parseNodeId(bytes.toString("latin1", 1, blobOffset - 1));
  const blobId = parseBlobId(uuidText(bytes, blobOffset));
  if (node === undefined || blobId === undefined) throw damagedKey(bytes);
  return { node, blobId };
}

/** All clients after `after`, or all. */
export function clientRange(after: ClientId | undefined): KeyRange {
  const whole = prefixRange(Buffer.of(table.client));
  return after === undefined ? whole : { ...whole, from: successor(clientKey(after)) };
}

/**
 * The client's files whose name begins with `prefix` and comes after `after`, in the order of their names' bytes.
 * Neither needs to be a valid name: a prefix often ends with `/`.
 */
export function fileRange(clientId: ClientId, prefix: string, after: string | undefined): KeyRange {
  const { from, before } = prefixRange(fileKeyOf(clientId, prefix));
  if (after === undefined) return { from, before };
  const next = successor(fileKeyOf(clientId, after));
  if (Buffer.compare(next, from) <= 0) return { from, before };
  return Buffer.compare(next, before) < 0 ? { from: next, before } : { from: before, before };
}

/** The first key after all the client's files whose name begins with `prefix`: where a grouped list goes on. */
export function afterFilePrefix(clientId: ClientId, prefix: string): Uint8Array {
  return prefixRange(fileKeyOf(clientId, prefix)).before;
}

/** What `node` holds, shall fetch or shall delete, from the blob after `after` on. */
export function holderRange(node: NodeId, after: BlobId | undefined): KeyRange {
  const whole = prefixRange(holderPrefix(node));
  return after === undefined ? whole : { ...whole, from: successor(holderKey(node, after)) };
}

/** All files of all clients after the key `after`, or all. */
export function everyFile(after: Uint8Array | undefined): KeyRange {
  const whole = prefixRange(Buffer.of(table.file));
  return after === undefined ? whole : { ...whole, from: successor(after) };
}

/** Every row of the catalog, its meta row included. */
export const everyRow: KeyRange = { from: Buffer.of(0x00), before: Buffer.of(0xff) };

/** The key as a map's key: one character per byte. */
export function keyText(key: Uint8Array): string {
  return asBuffer(key).toString("latin1");
}

function uuidKey(tableByte: number, uuid: string): Buffer {
  const key = Buffer.allocUnsafe(1 + uuidSizeBytes);
  key[0] = tableByte;
  writeUuid(key, 1, uuid);
  return key;
}

function fileKeyOf(clientId: ClientId, name: string): Buffer {
  const key = Buffer.allocUnsafe(fileNameOffset + Buffer.byteLength(name, "utf8"));
  key[0] = table.file;
  writeUuid(key, 1, clientId);
  key.write(name, fileNameOffset, "utf8");
  return key;
}

/** Node ids never contain 00, so no node's rows lie between another's. */
function holderPrefix(node: NodeId): Buffer {
  return Buffer.from(`${String.fromCharCode(table.holder)}${node}\0`, "latin1");
}

/** All keys that begin with `prefix`. */
function prefixRange(prefix: Buffer): KeyRange {
  const before = Buffer.from(prefix);
  let last = before.length - 1;
  while (before[last] === 0xff) last--;
  before[last] = (before[last] ?? 0) + 1;
  return { from: prefix, before: before.subarray(0, last + 1) };
}

/** The first key after `key`. */
function successor(key: Uint8Array): Buffer {
  return Buffer.concat([key, Buffer.of(0)]);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function damagedKey(key: Buffer, cause?: unknown): DepositoError {
  return new DepositoError("catalog-damaged", `no key of the catalog: ${key.toString("hex")}`, { cause });
}
