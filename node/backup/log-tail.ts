import { logIndex } from "../base/ids.ts";
import { applyEntries, type CatalogMeta, readMeta } from "../catalog/apply.ts";
import { keyText } from "../catalog/keys.ts";
import type { CatalogReader, Write } from "../catalog/types.ts";
import type { Entry } from "../raft/types.ts";
import type { LogStore } from "../storage/types.ts";

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const readBytes = 1 << 20;

/**
 * The catalog of a node that does not run, as if everything in its log were committed. The disk stays as it is: the node may
 * still go back to its group, where the last entries may turn out otherwise.
 *
 * What was acknowledged and reached this node is in it. So may be what was never acknowledged: a change whose client got
 * no answer may have happened.
 */
export async function withLogTail(catalog: CatalogReader, log: LogStore): Promise<CatalogReader> {
  const changed = new ChangedCatalog(catalog);
  let meta: CatalogMeta = readMeta(catalog);
  for (;;) {
    const entries: readonly Entry[] = await log.read(logIndex(meta.applied.index + 1), readBytes);
    if (entries.length === 0) return changed;
    const applied = applyEntries(changed, meta, entries);
    changed.write(applied.writes);
    meta = applied.meta;
  }
}

/** A catalog with changes on top that are kept in memory: as many as a log holds behind the catalog. */
class ChangedCatalog implements CatalogReader {
  readonly #catalog: CatalogReader;
  readonly #changes = new Map<string, Write>();
  #sorted: readonly Write[] | undefined;

  constructor(catalog: CatalogReader) {
    this.#catalog = catalog;
  }

  write(writes: readonly Write[]): void {
    for (const write of writes) this.#changes.set(keyText(write.key), write);
    this.#sorted = undefined;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const change = this.#changes.get(keyText(key));
    return change === undefined ? this.#catalog.get(key) : change.value;
  }

  async range({ from, before, limit }: Parameters<CatalogReader["range"]>[0]) {
    const rows: Row[] = [];
    for (let at = from; ; ) {
      const below = await this.#catalog.range({ from: at, before, limit });
      const last = below.length < limit ? undefined : below.at(-1);
      const end = last === undefined ? before : Buffer.concat([last.key, Buffer.of(0)]);
      for (const row of merged(below, this.#changesIn(at, end))) rows.push(row);
      if (rows.length >= limit || last === undefined) return rows.slice(0, limit);
      at = end;
    }
  }

  #changesIn(from: Uint8Array, before: Uint8Array): readonly Write[] {
    this.#sorted ??= [...this.#changes.values()].sort((a, b) => Buffer.compare(a.key, b.key));
    return this.#sorted.slice(lowerBound(this.#sorted, from), lowerBound(this.#sorted, before));
  }
}

/** Where the first write stands whose key is not before `key`. */
function lowerBound(sorted: readonly Write[], key: Uint8Array): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare((sorted[middle] as Write).key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The rows with the changes carried out, both in key order and of the same range. */
function merged(rows: readonly Row[], changes: readonly Write[]): readonly Row[] {
  if (changes.length === 0) return rows;
  const byKey = new Map(rows.map((row) => [keyText(row.key), row]));
  for (const { key, value } of changes) {
    if (value === undefined) byKey.delete(keyText(key));
    else byKey.set(keyText(key), { key, value });
  }
  return [...byKey.values()].sort((a, b) => Buffer.compare(a.key, b.key));
}
