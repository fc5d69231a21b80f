import { invariant } from "../base/invariant.ts";
import { afterFilePrefix, fileRange, parseFileKey } from "../catalog/keys.ts";
import { fileOfRow } from "../catalog/tables.ts";
import type { CatalogReader, FileRecord } from "../catalog/types.ts";
import type { ListPage, ListRequest } from "./types.ts";

/** Rows read at once where groups may make most of them superfluous. */
const groupedRows = 64;
/** Rows read at once where every row is an entry. */
const plainRows = 1024;

/** One line of a list: a file, or a group of files by what their names have in common. */
type ListEntry =
  | { readonly type: "record"; readonly record: FileRecord }
  | { readonly type: "group"; readonly prefix: string };

/**
 * Up to `limit` entries after `after`, files and groups together, in the order of their UTF-8 bytes.
 *
 * Files whose names go on with the delimiter somewhere after `prefix` are one group: their name up to and including it,
 * as in S3's ListObjectsV2. `next` is the last entry where others follow; given as `after`, a whole group is passed over.
 * A group costs one seek, however many files are in it.
 */
export async function list(catalog: CatalogReader, request: ListRequest): Promise<ListPage> {
  const entries: ListEntry[] = [];
  // One more than asked for tells whether there is a next page.
  for await (const entry of entriesOf(catalog, request)) {
    entries.push(entry);
    if (entries.length > request.limit) break;
  }
  const page = entries.slice(0, request.limit);
  const last = page.at(-1);
  return {
    records: page.flatMap((entry) => (entry.type === "record" ? [entry.record] : [])),
    prefixes: page.flatMap((entry) => (entry.type === "group" ? [entry.prefix] : [])),
    next: entries.length > page.length && last !== undefined ? textOf(last) : undefined,
  };
}

async function* entriesOf(catalog: CatalogReader, request: ListRequest): AsyncGenerator<ListEntry> {
  const { clientId, prefix, after, limit } = request;
  const bounds = fileRange(clientId, prefix, after);
  const rowsAtOnce = request.delimiter === undefined ? Math.min(limit + 1, plainRows) : groupedRows;
  let from = bounds.from;
  // The page before ended with this very group.
  if (after !== undefined && groupOf(after, request) === after) from = afterFilePrefix(clientId, after);
  while (Buffer.compare(from, bounds.before) < 0) {
    const rows = await catalog.range({ from, before: bounds.before, limit: rowsAtOnce });
    let seek: Uint8Array | undefined;
    for (const row of rows) {
      if (seek !== undefined && Buffer.compare(row.key, seek) < 0) continue;
      const { name } = parseFileKey(row.key);
      const group = groupOf(name, request);
      if (group === undefined) {
        seek = undefined;
        yield { type: "record", record: fileOfRow(row) };
      } else {
        seek = afterFilePrefix(clientId, group);
        yield { type: "group", prefix: group };
      }
    }
    const lastKey = rows.at(-1)?.key;
    if (rows.length < rowsAtOnce || lastKey === undefined) return;
    from = seek !== undefined && Buffer.compare(lastKey, seek) < 0 ? seek : Buffer.concat([lastKey, Buffer.of(0)]);
  }
}

/** The group that a name belongs to, or undefined when it stands for itself. */
function groupOf(name: string, { prefix, delimiter }: ListRequest): string | undefined {
  if (delimiter === undefined || !name.startsWith(prefix)) return undefined;
  invariant(delimiter !== "", () => "a list grouped by an empty delimiter");
  const at = name.indexOf(delimiter, prefix.length);
  return at === -1 ? undefined : name.slice(0, at + delimiter.length);
}

function textOf(entry: ListEntry): string {
  return entry.type === "record" ? entry.record.name : entry.prefix;
}
