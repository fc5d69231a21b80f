import type { Logger } from "../base/logger.ts";
import type { StorageDisk } from "./disk.ts";
import type { FailStop } from "./fail-stop.ts";
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
  readonly disk: StorageDisk;
  readonly failStop: FailStop;
  readonly logger: Logger;
  readonly tuning: StorageTuning;
  /** Every LevelDB that is open, the lock's excepted. */
  readonly openLevels: Set<LevelStore>;
}

/** How the log of one generation is opened. */
export function logLevelOptions(place: Place, generation: number): LevelOptions {
  const { logWriteBufferBytes: writeBufferBytes, logCacheBytes: cacheBytes } = place.tuning;
  return { ...place, path: place.layout.log(generation), memory: { writeBufferBytes, cacheBytes } };
}

/** How the catalog of one generation is opened. */
export function catalogLevelOptions(place: Place, generation: number): LevelOptions {
  const { catalogWriteBufferBytes: writeBufferBytes, catalogCacheBytes: cacheBytes } = place.tuning;
  return { ...place, path: place.layout.catalog(generation), memory: { writeBufferBytes, cacheBytes } };
}
