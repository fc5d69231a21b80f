import { readBackup } from "../../node/backup/read.ts";
import { writeBackup } from "../../node/backup/write.ts";
import { newClientId } from "../../node/base/ids.ts";
import { applyEntries, type CatalogMeta, foundingWrites } from "../../node/catalog/apply.ts";
import type { CatalogReader } from "../../node/catalog/types.ts";
import { commandEntry, groupOf, registerClient } from "../replication/support/node-disk.ts";
import { MapCatalog } from "../support/map-catalog.ts";

/** A catalog of three members and so many clients. */
export function catalogWith(clients: number): { readonly catalog: MapCatalog; readonly meta: CatalogMeta } {
  const catalog = new MapCatalog();
  const { writes, meta } = foundingWrites(groupOf("n1", "n2", "n3"));
  catalog.write(writes);
  const entries = Array.from({ length: clients }, (_, at) =>
    commandEntry(at + 2, registerClient(newClientId(), "x".repeat(190))),
  );
  const applied = applyEntries(catalog, meta, entries);
  catalog.write(applied.writes);
  return { catalog, meta: applied.meta };
}

export async function backupOf(catalog: CatalogReader): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of writeBackup(catalog, new Date(0))) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Cut into chunks of this size. */
export async function* chunksOf(bytes: Buffer, chunkBytes = 65_536): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

/** Everything that a backup holds. */
export async function contentOf(backup: Buffer, chunkBytes?: number) {
  const catalog = new MapCatalog();
  const header = await readBackup(chunksOf(backup, chunkBytes), async (rows) => catalog.write(rows));
  return { header, catalog };
}

/** All rows of a catalog. */
export function rowsOf(catalog: CatalogReader) {
  return catalog.range({ from: Buffer.of(0), before: Buffer.of(0xff), limit: 1_000_000 });
}
