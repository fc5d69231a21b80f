import type { Logger } from "../base/logger.ts";
import type { FailStop } from "./fail-stop.ts";
import type { StorageHooks } from "./hooks.ts";
import type { Layout } from "./layout.ts";
import type { LevelOptions, LevelStore } from "./level.ts";

/** Memory given to LevelDB; a write buffer also bounds what is read back on a start, and may be held twice. */
export interface StorageTuning {
  readonly logWriteBufferBytes: number;
  readonly logCacheBytes: number;
  readonly catalogWriteBufferBytes: number;
  readonly catalogCacheBytes: number;
}

export const defaultTuning: StorageTuning = {
  logWriteBufferBytes: 16 << 20,
  logCacheBytes: 8 << 20,
  catalogWriteBufferBytes: 8 << 20,
  catalogCacheBytes: 64 << 20,
};

/** What every store of one data directory shares. */
export interface Place {
  readonly layout: Layout;
  readonly failStop: FailStop;
  readonly hooks: StorageHooks;
  readonly logger: Logger;
  readonly tuning: StorageTuning;
  /** Every LevelDB that is open, the lock's excepted. */
  readonly openLevels: Set<LevelStore>;
}

/** How the log of one generation is opened. */
export function logLevelOptions(place: Place, generation: number): LevelOptions {
  return {
    path: place.layout.log(generation),
    writeBufferBytes: place.tuning.logWriteBufferBytes,
    cacheBytes: place.tuning.logCacheBytes,
    failStop: place.failStop,
    hooks: place.hooks,
    openLevels: place.openLevels,
  };
}

/** How the catalog of one generation is opened. */
export function catalogLevelOptions(place: Place, generation: number): LevelOptions {
  return {
    path: place.layout.catalog(generation),
    writeBufferBytes: place.tuning.catalogWriteBufferBytes,
    cacheBytes: place.tuning.catalogCacheBytes,
    failStop: place.failStop,
    hooks: place.hooks,
    openLevels: place.openLevels,
  };
}
