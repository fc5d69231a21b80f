import { DepositoError } from "../base/errors.ts";
import type { ClientId } from "../base/ids.ts";
import type { FileName } from "../catalog/names.ts";
import { readFile } from "../catalog/tables.ts";
import type { CatalogView, FileRecord } from "../catalog/types.ts";

/**
 * The client's file of that name, as this node's catalog shows it.
 * @throws {DepositoError} `file-not-found`: the same for a missing file and another client's.
 */
export function readRecord(catalog: CatalogView, clientId: ClientId, name: FileName): FileRecord {
  const record = readFile(catalog, clientId, name);
  if (record === undefined) throw fileNotFound();
  return record;
}

/** What a name without a file is answered with, wherever that is found out. */
export function fileNotFound(): DepositoError {
  return new DepositoError("file-not-found", "you have no file of that name");
}
