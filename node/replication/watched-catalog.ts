import { hasCode } from "../base/errors.ts";
import type { CatalogReader } from "../catalog/types.ts";
import type { CatalogStore } from "../storage/types.ts";

/**
 * The catalog, telling of each read that meets damage, whoever reads: a request that fails is not enough, the whole
 * catalog must come anew from a peer.
 */
export function watchCatalog(store: CatalogStore, onDamaged: (error: unknown) => void): CatalogStore {
  return {
    ...watchReader(store, onDamaged),
    write: (writes, options) => store.write(writes, options),
    snapshot() {
      const snapshot = store.snapshot();
      return { ...watchReader(snapshot, onDamaged), close: () => snapshot.close() };
    },
  };
}

function watchReader(reader: CatalogReader, onDamaged: (error: unknown) => void): CatalogReader {
  const tell = (error: unknown): never => {
    if (hasCode(error, "catalog-damaged")) onDamaged(error);
    throw error;
  };
  return {
    get(key) {
      try {
        return reader.get(key);
      } catch (error) {
        return tell(error);
      }
    },
    range: (bounds) => reader.range(bounds).catch(tell),
  };
}
