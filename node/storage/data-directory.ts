import { dirname } from "node:path";
import { DepositoError } from "../base/errors.ts";
import type { BackupId, ClusterId, Incarnation, NodeId } from "../base/ids.ts";
import { logIndex, term } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Logger } from "../base/logger.ts";
import type { CatalogView, Founding, Write } from "../catalog/types.ts";
import type { LogPosition } from "../raft/types.ts";
import { type AppliedOf, openCatalog, writeCatalog } from "./catalog-files.ts";
import { namesIn, syncDirectory } from "./directories.ts";
import type { DiskLock, StorageDisk } from "./disk.ts";
import { freshBase } from "./entry-codec.ts";
import { FailStop } from "./fail-stop.ts";
import { createHardState, type HardStateFile, loadHardState } from "./hard-state-file.ts";
import { layoutOf, meaningOf } from "./layout.ts";
import { lockDirectory } from "./lock.ts";
import { createLog } from "./log-files.ts";
import { OpenedStoresOnDisk, removeStrayGenerations } from "./opened-stores.ts";
import { defaultTuning, type Place, type StorageTuning } from "./place.ts";
import type { DataDirectory, NodeIdentity, OpenedStores } from "./types.ts";

export interface DataDirectoryOptions {
  readonly path: string;
  readonly nodeId: NodeId;
  readonly disk: StorageDisk;
  readonly logger: Logger;
  readonly appliedOf: AppliedOf;
  readonly tuning?: Partial<StorageTuning> | undefined;
}

/**
 * Locks the data directory and reads whose it is. In a blank one nothing but the lock is made; in a claimed one the boot
 * is counted, durably.
 * @throws {DepositoError} `data-directory-in-use`; `data-directory-foreign` when it belongs to another node, holds other
 *   files, or its hard-state file is damaged beyond use; `storage-failed`.
 */
export async function openDataDirectory(options: DataDirectoryOptions): Promise<DataDirectory> {
  const layout = layoutOf(options.path);
  const place: Place = {
    layout,
    disk: options.disk,
    failStop: new FailStop(),
    logger: options.logger,
    tuning: { ...defaultTuning, ...options.tuning },
    openLevels: new Set(),
  };
  // Before the lock, so that a mistyped path does not get one.
  await refuseForeign(options);
  const lock = await lockDirectory(options.disk, place.layout);
  try {
    await refuseForeign(options);
    const hardState = await bootHardState(place, options.nodeId);
    return new DataDirectoryOnDisk(place, options, lock, hardState);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** What the stores of the directory will share. */
export function placeOf(options: Omit<DataDirectoryOptions, "nodeId" | "appliedOf">): Place {
  return {
    layout: layoutOf(options.path),
    disk: options.disk,
    failStop: new FailStop(),
    logger: options.logger,
    tuning: { ...defaultTuning, ...options.tuning },
    openLevels: new Set(),
  };
}

async function refuseForeign({ path, disk }: DataDirectoryOptions): Promise<void> {
  const names = await namesIn(disk, path).catch((error: unknown) => {
    throw new DepositoError("data-directory-foreign", `cannot read ${path}: ${String(error)}`, { cause: error });
  });
  if (names.includes("hard-state")) return;
  const foreign = names.filter((name) => meaningOf(name).type !== "ignored");
  if (foreign.length === 0) return;
  throw new DepositoError(
    "data-directory-foreign",
    `${path} holds ${foreign.slice(0, 3).join(", ")} but no hard-state file, so it is not a node's data directory, or ` +
      "lost the proof of being one. Give the node an empty directory; if it was a member, remove it and add it again.",
  );
}

async function bootHardState(place: Place, nodeId: NodeId): Promise<HardStateFile | undefined> {
  const loaded = await loadHardState(place.layout, place);
  if (loaded === undefined) return undefined;
  const { file, slotDamaged } = loaded;
  try {
    const { state } = file;
    if (state.nodeId !== nodeId) {
      throw new DepositoError(
        "data-directory-foreign",
        `${place.layout.root} belongs to node ${state.nodeId}, not to ${nodeId}`,
      );
    }
    if (slotDamaged) place.logger.error({ boots: state.boots }, "one slot of the hard-state file is damaged");
    await file.update({ boots: state.boots + 1, lost: slotDamaged ? "claim" : state.lost });
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

class DataDirectoryOnDisk implements DataDirectory {
  readonly path: string;
  readonly #place: Place;
  readonly #nodeId: NodeId;
  readonly #appliedOf: AppliedOf;
  readonly #lock: DiskLock;
  #hardState: HardStateFile | undefined;
  #stores: OpenedStoresOnDisk | undefined;
  #closing: Promise<void> | undefined;

  constructor(place: Place, options: DataDirectoryOptions, lock: DiskLock, hardState: HardStateFile | undefined) {
    this.path = options.path;
    this.#place = place;
    this.#nodeId = options.nodeId;
    this.#appliedOf = options.appliedOf;
    this.#lock = lock;
    this.#hardState = hardState;
  }

  get identity(): NodeIdentity | undefined {
    if (this.#hardState === undefined) return undefined;
    const { nodeId, incarnation, clusterId } = this.#hardState.state;
    return { nodeId, incarnation, clusterId };
  }

  get boots(): number {
    return this.#hardState?.state.boots ?? 0;
  }

  get restored(): BackupId | undefined {
    return this.#hardState?.state.restored;
  }

  async claim(incarnation: Incarnation): Promise<NodeIdentity> {
    invariant(this.#hardState === undefined, () => `${this.path} is claimed already`);
    this.#hardState = await createHardState(
      this.#place.layout,
      {
        nodeId: this.#nodeId,
        incarnation,
        clusterId: undefined,
        boots: 1,
        term: term(0),
        votedFor: undefined,
        promised: claimOf(beforeAll),
        lost: "nothing",
        logGeneration: 0,
        catalogGeneration: 0,
        catalogCondemned: false,
        restored: undefined,
      },
      this.#place,
    );
    // The directory itself may be new.
    const { disk, failStop } = this.#place;
    await failStop.guard("syncing the parent directory", () => syncDirectory(disk, dirname(this.path)));
    return { nodeId: this.#nodeId, incarnation, clusterId: undefined };
  }

  async found(founding: Founding, catalog: readonly Write[], base: LogPosition): Promise<void> {
    const hardState = this.#claimedState();
    await removeStrayGenerations(this.#place, hardState);
    await writeCatalog(this.#place, 1, catalog);
    await this.#beginLog(base);
    await hardState.update({
      clusterId: founding.clusterId,
      logGeneration: 1,
      catalogGeneration: 1,
      promised: claimOf(base),
      term: term(Math.max(base.term, hardState.state.term)),
    });
  }

  async foundRestored(founding: Founding, change: (catalog: CatalogView) => readonly Write[]): Promise<void> {
    const hardState = this.#claimedState();
    const { catalogGeneration, term: currentTerm } = hardState.state;
    await removeStrayGenerations(this.#place, hardState);
    const opened = await openCatalog(this.#place, catalogGeneration, this.#appliedOf);
    if (typeof opened === "string")
      throw new DepositoError(
        "backup-damaged",
        `the restored catalog in ${this.path} is damaged, ${opened}: restore it again`,
      );
    const { catalog, applied } = opened;
    await catalog.write(change(catalog), { sync: true });
    await catalog.close();
    await this.#beginLog(applied);
    await hardState.update({
      clusterId: founding.clusterId,
      logGeneration: 1,
      promised: claimOf(applied),
      term: term(Math.max(applied.term, currentTerm)),
    });
  }

  async join(clusterId: ClusterId): Promise<void> {
    const hardState = this.#claimedState();
    await removeStrayGenerations(this.#place, hardState);
    await this.#beginLog(beforeAll);
    // A catalog from a backup may be of another history than the group's.
    const none = { catalogGeneration: 0, restored: undefined };
    await hardState.update({ clusterId, logGeneration: 1, promised: claimOf(beforeAll), ...none });
  }

  async #beginLog(base: LogPosition): Promise<void> {
    const log = await createLog(this.#place, 1, freshBase(base));
    await log.close();
  }

  #claimedState(): HardStateFile {
    const hardState = this.#hardState;
    invariant(hardState?.state.clusterId === undefined, () => `${this.path} belongs to a group already`);
    invariant(hardState !== undefined, () => `${this.path} is not claimed`);
    return hardState;
  }

  async open(): Promise<OpenedStores> {
    const hardState = this.#hardState;
    invariant(hardState?.state.clusterId !== undefined, () => `${this.path} belongs to no group yet`);
    invariant(this.#stores === undefined, () => `${this.path} is open already`);
    this.#stores = await OpenedStoresOnDisk.open(this.#place, hardState, this.#appliedOf);
    return this.#stores;
  }

  async replicasCompared(): Promise<void> {
    await this.#hardState?.update({ restored: undefined });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#stores?.close();
      // Whatever a failed switch left open.
      for (const level of this.#place.openLevels) await level.close();
      await this.#hardState?.close();
    } finally {
      await this.#lock.release();
    }
  }
}

const beforeAll: LogPosition = { index: logIndex(0), term: term(0) };

function claimOf(base: LogPosition) {
  const { index, chain } = freshBase(base);
  return { index, chain };
}
