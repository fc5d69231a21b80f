import { DepositoError, hasCode } from "../base/errors.ts";
import { type BackupId, type Incarnation, logIndex, term } from "../base/ids.ts";
import type { Write } from "../catalog/types.ts";
import { createCatalog, openCatalog } from "./catalog-files.ts";
import { type DataDirectoryOptions, placeOf } from "./data-directory.ts";
import { namesIn, syncDirectory } from "./directories.ts";
import { freshBase } from "./entry-codec.ts";
import { createHardState, loadHardState } from "./hard-state-file.ts";
import type { StoredState } from "./hard-state-slot.ts";
import { meaningOf } from "./layout.ts";
import { lockDirectory } from "./lock.ts";
import { removeStrayGenerations } from "./opened-stores.ts";
import type { Place } from "./place.ts";

export interface RestoreOptions extends DataDirectoryOptions {
  /** Of the new life that begins here. */
  readonly incarnation: Incarnation;
  readonly restored: BackupId;
  /** Metadata of another group that lies in the directory may go. */
  readonly replace: boolean;
  /** Hands over the rows of the catalog; rejects when they cannot be relied on after all. */
  readonly fill: (write: (rows: readonly Write[]) => Promise<void>) => Promise<void>;
}

/**
 * Makes a data directory one of a new group that is still to be founded on the catalog of a backup. Blobs stay where they
 * lie; log, vote and identity of a former group go. One rename puts the new in the place of the old: before it the
 * directory is as it was, after it no earlier promise binds it, and no earlier peer knows it.
 * @throws {DepositoError} `data-directory-in-use`; `data-directory-foreign` when it is another node's or nobody's, or holds
 *   metadata and `replace` is not given; `storage-failed`; what `fill` rejects with.
 */
export async function restoreDirectory(options: RestoreOptions): Promise<void> {
  const place = placeOf(options);
  await refuseStrangers(options);
  const lock = await lockDirectory(options.disk, place.layout);
  try {
    const generation = (await newestGeneration(options)) + 1;
    await refuseToReplace(place, options, generation > 1);
    await fillCatalog(place, generation, options);
    const hardState = await createHardState(place.layout, restoredState(options, generation), place);
    try {
      await removeStrayGenerations(place, hardState);
    } finally {
      await hardState.close();
    }
  } finally {
    for (const level of place.openLevels) await level.close();
    await lock.release();
  }
}

async function refuseStrangers({ disk, path }: RestoreOptions): Promise<void> {
  const strangers = (await namesIn(disk, path)).filter((name) => meaningOf(name).type === "foreign");
  if (strangers.length === 0) return;
  throw new DepositoError(
    "data-directory-foreign",
    `${path} holds ${strangers.slice(0, 3).join(", ")}, which are not deposito's: is this the right directory?`,
  );
}

async function newestGeneration({ disk, path }: RestoreOptions): Promise<number> {
  const meanings = (await namesIn(disk, path)).map(meaningOf);
  return Math.max(0, ...meanings.map((each) => (each.type === "generation" ? each.generation : 0)));
}

/** Nobody's metadata is thrown away by a slip of the hand. */
async function refuseToReplace(
  place: Place,
  { nodeId, path, replace }: RestoreOptions,
  hasGenerations: boolean,
): Promise<void> {
  const state = await stateOf(place);
  if (state !== undefined && state.nodeId !== nodeId)
    throw new DepositoError("data-directory-foreign", `${path} belongs to node ${state.nodeId}, not to ${nodeId}`);
  const isInUse = state === undefined ? hasGenerations : state.clusterId !== undefined;
  if (!isInUse || replace) return;
  throw new DepositoError(
    "data-directory-foreign",
    `${path} holds the metadata of ${state === undefined ? "a node" : `the group ${state.clusterId}`}, which would be ` +
      "gone. If that is meant, say --replace; its blobs are kept in any case",
  );
}

/** What the hard-state file says; undefined when there is none that can be read. */
async function stateOf(place: Place): Promise<StoredState | undefined> {
  try {
    const loaded = await loadHardState(place.layout, place);
    await loaded?.file.close();
    return loaded?.file.state;
  } catch (error) {
    if (hasCode(error, "data-directory-foreign")) return undefined;
    throw error;
  }
}

async function fillCatalog(place: Place, generation: number, { fill, appliedOf }: RestoreOptions): Promise<void> {
  const path = place.layout.catalog(generation);
  const catalog = await createCatalog(place, generation);
  try {
    await fill((rows) => catalog.write(rows, { sync: false }));
    await catalog.write([], { sync: true });
  } catch (error) {
    await catalog.close();
    await place.disk.removeTree(path);
    throw error;
  }
  await catalog.close();
  await syncDirectory(place.disk, path);
  // Read back from disk before anything depends on it.
  const opened = await openCatalog(place, generation, appliedOf);
  if (typeof opened === "string")
    throw place.failStop.fail("the restored catalog cannot be read back", new Error(opened));
  await opened.catalog.close();
}

function restoredState({ nodeId, incarnation, restored }: RestoreOptions, catalogGeneration: number): StoredState {
  const { index, chain } = freshBase({ index: logIndex(0), term: term(0) });
  return {
    nodeId,
    incarnation,
    clusterId: undefined,
    boots: 0,
    term: term(0),
    votedFor: undefined,
    promised: { index, chain },
    lost: "nothing",
    logGeneration: 0,
    catalogGeneration,
    catalogCondemned: false,
    restored,
  };
}
