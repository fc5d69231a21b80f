import { hasCode } from "../base/errors.ts";
import type { CatalogView, Write } from "../catalog/types.ts";
import type { LogPosition } from "../raft/types.ts";
import { CatalogStoreOnDisk } from "./catalog-store.ts";
import { syncDirectory } from "./directories.ts";
import { LevelDamagedError } from "./disk.ts";
import { createLevel, openLevel } from "./level.ts";
import { catalogLevelOptions, type Place } from "./place.ts";

/**
 * Tells from the catalog's own rows which entry was applied last.
 * @throws {DepositoError} `catalog-damaged` when they are not there: a founded catalog always has them.
 */
export type AppliedOf = (catalog: CatalogView) => LogPosition;

/** A catalog that can be used, with what it has applied. */
export interface UsableCatalog {
  readonly catalog: CatalogStoreOnDisk;
  readonly applied: LogPosition;
}

/** Creates an empty catalog generation. */
export async function createCatalog(place: Place, generation: number): Promise<CatalogStoreOnDisk> {
  return CatalogStoreOnDisk.over(await createLevel(catalogLevelOptions(place, generation)));
}

/**
 * Opens a catalog generation, in the state after some write that came with or after the last synced one, checks it for
 * missing writes, and asks it what it has applied; a text says why it is unusable.
 */
export async function openCatalog(
  place: Place,
  generation: number,
  appliedOf: AppliedOf,
): Promise<UsableCatalog | string> {
  const path = place.layout.catalog(generation);
  const cut = await place.failStop.guard(`checking the write-ahead log of ${path}`, () => place.disk.cutLevel(path));
  if (cut !== undefined)
    place.logger.warn({ ...cut }, "the catalog lost its latest writes; the replicated log has them");
  let level: Awaited<ReturnType<typeof openLevel>>;
  try {
    level = await openLevel(catalogLevelOptions(place, generation));
  } catch (error) {
    if (error instanceof LevelDamagedError) return error.message;
    throw error;
  }
  try {
    const catalog = await CatalogStoreOnDisk.over(level);
    return { catalog, applied: appliedOf(catalog) };
  } catch (error) {
    await level.close();
    if (hasCode(error, "catalog-damaged")) return error.message;
    throw error;
  }
}

/** Writes a whole catalog into a new generation and closes it; synced when it resolves. */
export async function writeCatalog(place: Place, generation: number, writes: readonly Write[]): Promise<void> {
  const catalog = await createCatalog(place, generation);
  try {
    await catalog.write(writes, { sync: true });
  } finally {
    await catalog.close();
  }
  await syncDirectory(place.disk, place.layout.catalog(generation));
}
