import { DepositoError } from "../base/errors.ts";
import type { BlobId, ClientId, NodeId } from "../base/ids.ts";
import { clientKey, fileKey, holderKey, membersKey, parseClientKey, parseFileKey, parseHolderKey } from "./keys.ts";
import { decodeMembers } from "./member-codec.ts";
import type { FileName } from "./names.ts";
import { decodeClient, decodeFile, decodeHolderRow } from "./row-codec.ts";
import type { CatalogView, ClientRecord, FileRecord, HolderRow, MemberRecord } from "./types.ts";

/** A row as a range read gives it. */
export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Each read below gives undefined when there is no such row. @throws {DepositoError} `catalog-damaged` when it does not decode. */
export function readClient(view: CatalogView, clientId: ClientId): ClientRecord | undefined {
  const value = view.get(clientKey(clientId));
  return value === undefined ? undefined : decodeClient(clientId, value);
}

export function readFile(view: CatalogView, clientId: ClientId, name: FileName): FileRecord | undefined {
  const value = view.get(fileKey(clientId, name));
  return value === undefined ? undefined : decodeFile(clientId, name, value);
}

export function readHolder(view: CatalogView, node: NodeId, blobId: BlobId): HolderRow | undefined {
  const value = view.get(holderKey(node, blobId));
  return value === undefined ? undefined : decodeHolderRow(node, blobId, value);
}

/** All members, ordered by id; every founded catalog has some. */
export function readMembers(view: CatalogView): readonly MemberRecord[] {
  const value = view.get(membersKey);
  if (value === undefined) throw new DepositoError("catalog-damaged", "the catalog has no members");
  return decodeMembers(value);
}

export function readMember(view: CatalogView, id: NodeId): MemberRecord | undefined {
  return readMembers(view).find((member) => member.id === id);
}

/** A row of `clientRange`. @throws {DepositoError} `catalog-damaged` */
export function clientOfRow({ key, value }: Row): ClientRecord {
  return decodeClient(parseClientKey(key), value);
}

/** A row of `fileRange`. @throws {DepositoError} `catalog-damaged` */
export function fileOfRow({ key, value }: Row): FileRecord {
  const { clientId, name } = parseFileKey(key);
  return decodeFile(clientId, name, value);
}

/** A row of `holderRange`. @throws {DepositoError} `catalog-damaged` */
export function holderOfRow({ key, value }: Row): HolderRow {
  const { node, blobId } = parseHolderKey(key);
  return decodeHolderRow(node, blobId, value);
}
