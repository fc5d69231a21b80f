/** The values of the catalog's tables, without what stands in their keys (`keys.ts`). */
import {
  type BlobId,
  type ClientId,
  type NodeId,
  parseBlobId,
  parseClientId,
  type Version,
  version,
} from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import {
  choiceOf,
  decodeFields,
  encodeFields,
  type Fields,
  fieldsOf,
  listOf,
  malformed,
  nodeIdOf,
  optionalOf,
  replicaCountOf,
  sha256Bytes,
  sha256Of,
  stagedOf,
  textOf,
  uuidOf,
  wholeOf,
} from "./fields.ts";
import { maxContentTypeLength, maxLabelLength } from "./limits.ts";
import { type FileName, maxNameBytes, parseFileName } from "./names.ts";
import type { BlobFacts, ClientRecord, FileRecord, Holder, HolderRow } from "./types.ts";
import { uuidToBytes } from "./uuid-bytes.ts";

const holderStates: readonly HolderRow["state"][] = ["present", "missing", "doomed"];

export function encodeClient(client: ClientRecord): Uint8Array {
  const { files, bytes, replicaBytes } = client;
  invariant(files >= 0 && bytes >= 0 && replicaBytes >= 0, () => `counters ${files}, ${bytes}, ${replicaBytes}`);
  return encodeFields([sha256Bytes(client.secretHash), client.label, files, bytes, replicaBytes, client.createdAt]);
}

/** @throws {DepositoError} `catalog-damaged` */
export function decodeClient(clientId: ClientId, value: Uint8Array): ClientRecord {
  return decodeFields(value, "catalog-damaged", `the client ${clientId}`, (fields) => {
    const [secretHash, label, files, bytes, replicaBytes, createdAt] = fieldsOf(fields, 6);
    return {
      clientId,
      secretHash: sha256Of(secretHash),
      label: optionalOf(label, (text) => textOf(text, maxLabelLength)),
      files: wholeOf(files),
      bytes: wholeOf(bytes),
      replicaBytes: wholeOf(replicaBytes),
      createdAt: wholeOf(createdAt),
    };
  });
}

export function encodeFile(record: FileRecord): Uint8Array {
  return encodeFields(fileFields(record));
}

/** @throws {DepositoError} `catalog-damaged` */
export function decodeFile(clientId: ClientId, name: FileName, value: Uint8Array): FileRecord {
  return decodeFields(value, "catalog-damaged", "a file's record", (fields) => fileOf(clientId, name, fields));
}

/** Everything of a file but its owner and name; holders as node, staged or nil, node, … */
export function fileFields(record: FileRecord): Fields {
  const { blob, holders } = record;
  invariant(new Set(holders.map(({ node }) => node)).size === holders.length, () => "two replicas on one node");
  return [
    uuidToBytes(blob.blobId),
    blob.sizeBytes,
    sha256Bytes(blob.sha256),
    record.contentType,
    record.replicas,
    record.version,
    record.createdAt,
    record.updatedAt,
    holders.flatMap((holder) => [holder.node, holder.state === "present" ? holder.staged : undefined]),
  ];
}

export function fileOf(clientId: ClientId, name: FileName, value: unknown): FileRecord {
  const [blobId, sizeBytes, sha256, contentType, replicas, at, createdAt, updatedAt, holders] = fieldsOf(value, 9);
  return {
    clientId,
    name,
    blob: { blobId: uuidOf(blobId, parseBlobId), sizeBytes: wholeOf(sizeBytes), sha256: sha256Of(sha256) },
    contentType: textOf(contentType, maxContentTypeLength),
    replicas: replicaCountOf(replicas),
    version: versionOf(at),
    createdAt: wholeOf(createdAt),
    updatedAt: wholeOf(updatedAt),
    holders: holdersOf(holders),
  };
}

/** A file name among other fields; `malformed` when it is none. */
export function fileNameOf(value: unknown): FileName {
  const text = textOf(value, maxNameBytes);
  try {
    return parseFileName(text);
  } catch {
    throw malformed("a file name", value);
  }
}

export function encodeHolderRow(row: HolderRow): Uint8Array {
  const { blob, clientId, name, state } = row;
  return encodeFields([
    blob.sizeBytes,
    sha256Bytes(blob.sha256),
    uuidToBytes(clientId),
    name,
    holderStates.indexOf(state),
  ]);
}

/** @throws {DepositoError} `catalog-damaged` */
export function decodeHolderRow(node: NodeId, blobId: BlobId, value: Uint8Array): HolderRow {
  return decodeFields(value, "catalog-damaged", `the replica ${blobId} of ${node}`, (fields) => {
    const [sizeBytes, sha256, clientId, name, state] = fieldsOf(fields, 5);
    const blob: BlobFacts = { blobId, sizeBytes: wholeOf(sizeBytes), sha256: sha256Of(sha256) };
    return {
      node,
      blob,
      clientId: uuidOf(clientId, parseClientId),
      name: fileNameOf(name),
      state: choiceOf(state, holderStates),
    };
  });
}

function holdersOf(value: unknown): readonly Holder[] {
  const flat = listOf(value);
  const holders: Holder[] = [];
  for (let at = 0; at < flat.length; at += 2) {
    const node = nodeIdOf(flat[at]);
    if (holders.some((holder) => holder.node === node)) throw malformed("distinct holders", value);
    const staged = optionalOf(flat[at + 1], stagedOf);
    holders.push(staged === undefined ? { node, state: "missing" } : { node, state: "present", staged });
  }
  return holders;
}

function versionOf(value: unknown): Version {
  return version(wholeOf(value));
}
