import { keyText } from "../../node/catalog/keys.ts";
import type { CatalogReader, Write } from "../../node/catalog/types.ts";

/** A catalog in memory, in key order. */
export class MapCatalog implements CatalogReader {
  readonly #rows = new Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>();
  #sorted: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[] | undefined;
  /** Rows that `range` has handed out, to see what a read costs. */
  rowsRead = 0;

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(keyText(key))?.value;
  }

  async range(bounds: { readonly from: Uint8Array; readonly before: Uint8Array; readonly limit: number }) {
    this.#sorted ??= [...this.#rows.values()].sort((a, b) => Buffer.compare(a.key, b.key));
    const inside = this.#sorted.filter(
      ({ key }) => Buffer.compare(key, bounds.from) >= 0 && Buffer.compare(key, bounds.before) < 0,
    );
    const rows = inside.slice(0, bounds.limit);
    this.rowsRead += rows.length;
    return rows;
  }

  write(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      if (value === undefined) this.#rows.delete(keyText(key));
      else this.#rows.set(keyText(key), { key, value });
    }
    this.#sorted = undefined;
  }
}
