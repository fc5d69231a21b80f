import type { BackupId, BlobId, ClusterId, Incarnation, LogIndex, NodeId, Sha256, Staged } from "../base/ids.ts";
import type { BlobFacts, CatalogReader, CatalogView, Founding, Write } from "../catalog/types.ts";
import type { Entry, HardState, LogPosition } from "../raft/types.ts";

/** Who this data directory belongs to. `clusterId` is undefined until the group is founded or joined. */
export interface NodeIdentity {
  readonly nodeId: NodeId;
  readonly incarnation: Incarnation;
  readonly clusterId: ClusterId | undefined;
}

/**
 * One node's data directory, locked for this process. Life of a directory:
 *
 *   blank ──claim()──► claimed ──found()──► with the first catalog ─────────┬──open()──► in use
 *                              └─join()──► without one: installed after ────┤
 *   restoreDirectory()──► restored ──foundRestored()──► with the backup's ──┘
 *
 * `claim` makes the incarnation durable before any peer hears of it; `found` writes the founding catalog and an empty log,
 * `join` only the log. Only these create; everything later refuses to create what it expects to find.
 */
export interface DataDirectory {
  readonly path: string;
  /** Undefined: blank. */
  readonly identity: NodeIdentity | undefined;
  /** How often this directory was opened since it was claimed, this time included; durable before it is returned. */
  readonly boots: number;
  /** The backup that the catalog came from, as long as nobody has compared this node's replicas with it. */
  readonly restored: BackupId | undefined;
  claim(incarnation: Incarnation): Promise<NodeIdentity>;
  found(founding: Founding, catalog: readonly Write[], base: LogPosition): Promise<void>;
  /**
   * Like `found`, on the catalog of a backup: `change` makes it the first one of the new group, whose log goes on after it.
   * @throws {DepositoError} `backup-damaged` when it cannot be read any more.
   */
  foundRestored(founding: Founding, change: (catalog: CatalogView) => readonly Write[]): Promise<void>;
  join(clusterId: ClusterId): Promise<void>;
  open(): Promise<OpenedStores>;
  /** The replicas on this disk were compared with the catalog of the backup. */
  replicasCompared(): Promise<void>;
  /** Closes every store and lets go of the lock. */
  close(): Promise<void>;
}

export interface OpenedStores {
  readonly log: LogStore;
  /** Undefined: never installed, damaged or gone; it must come from a peer with `installCatalog`. Damage was logged. */
  readonly catalog: CatalogStore | undefined;
  /** Starts a fresh catalog beside the current one; `complete` switches to it atomically and removes the old one. */
  installCatalog(): Promise<CatalogInstaller>;
  /** Marks the current catalog as damaged, durably: the next `open` gives none. */
  condemnCatalog(): Promise<void>;
}

/**
 * The replicated log and the hard state on disk. Every method but `read` is called by one owner, one at a time.
 * Any failed write or sync rejects with `storage-failed`, and every later call too: the process must end.
 */
export interface LogStore {
  /** What was found on opening. */
  readonly recovered: {
    readonly hardState: HardState;
    /** The position before the first entry held. */
    readonly base: LogPosition;
    readonly lastIndex: LogIndex;
    /** Runs of equal terms over the whole log held, ascending; empty for an empty log. */
    readonly termRuns: readonly LogPosition[];
    /** The log is shorter than the hard state says, or a part of it was damaged and dropped. */
    readonly lostPromises: boolean;
    /** The last index that may have been acknowledged; undefined when the record of that is in doubt too. */
    readonly promisedIndex: LogIndex | undefined;
  };
  /**
   * Makes term, vote and entries durable. `append` replaces what the log holds from its first index on, and continues it
   * without a gap. Resolves after the last sync; then everything in it may be promised to others.
   */
  persist(change: { readonly hardState: HardState | undefined; readonly append: readonly Entry[] }): Promise<void>;
  /** Entries from `from` on, in order, at least one if there is one, at most about `maxBytes`; each verified. */
  read(from: LogIndex, maxBytes: number): Promise<readonly Entry[]>;
  /** Forgets entries up to `through`, whose effects are durable in the catalog; the new base. */
  trim(through: LogPosition): Promise<void>;
  /** Drops all entries and goes on after `base`: a snapshot stands for everything before. */
  reset(base: LogPosition): Promise<void>;
  /**
   * Peers have refilled what was lost (`recovered.lostPromises`), says the core: the next start need not doubt this node.
   * Does nothing when nothing was lost.
   */
  promisesRefilled(): Promise<void>;
}

/**
 * The catalog on disk: keys in byte order; every value carries a checksum that includes its key.
 * @throws {DepositoError} `catalog-damaged` from any read that meets a wrong checksum; `no-quorum` from any read that goes
 *   on while the catalog is closed, or replaced by one from a peer.
 */
export interface CatalogStore extends CatalogReader {
  /**
   * Applies all or nothing. With `sync` it survives a power cut, and so does every write before it; without, a `kill -9`.
   * A power cut leaves the state after one of the writes since the last synced one.
   */
  write(writes: readonly Write[], options: { readonly sync: boolean }): Promise<void>;
  /** A frozen view; must be closed. */
  snapshot(): CatalogSnapshot;
}

export interface CatalogSnapshot extends CatalogReader {
  close(): Promise<void>;
}

export interface CatalogInstaller {
  write(writes: readonly Write[]): Promise<void>;
  /** Syncs, switches, removes the former catalog. */
  complete(): Promise<CatalogStore>;
  /** Removes what was written; may be called at any time, also twice. */
  cancel(): Promise<void>;
}

/** A blob as it lies on this node's disk. */
export interface StoredBlob extends BlobFacts {
  readonly staged: Staged;
}

/**
 * Whole blobs on this node's disk: staged → synced → visible. `test/storage/blob-store-conformance.ts` is what every
 * implementation must do.
 */
export interface BlobStore {
  /**
   * Stages a blob; nothing is visible before `commit`. `expectedBytes` is a hint for preallocation.
   * @throws {DepositoError} `not-enough-space`; from `write` and `commit` too.
   */
  stage(blobId: BlobId, expectedBytes: number | undefined): Promise<BlobWriter>;
  /**
   * Stages and commits many small blobs with as few syncs as it takes; one result each, in order.
   * @throws {DepositoError} `not-enough-space`: then none of them is kept.
   */
  store(
    blobs: readonly { readonly facts: BlobFacts; readonly bytes: Uint8Array }[],
  ): Promise<readonly (StoredBlob | { readonly failed: "digest-mismatch" })[]>;
  /** Opens a visible blob. @throws {DepositoError} `blob-not-found`, `blob-damaged` (its header). */
  open(blobId: BlobId): Promise<BlobReader>;
  /**
   * Resolves once a blob that is visible now, if it is, also survives a power cut: it becomes visible a moment before.
   * @throws {DepositoError} `storage-failed`
   */
  settled(blobId: BlobId): Promise<void>;
  /** Removes a visible blob; resolves once that is durable; fine if it is not there. */
  remove(blobIds: readonly BlobId[]): Promise<void>;
  /** Visible blobs in id order after `after`, without reading their bytes. */
  list(after: BlobId | undefined, limit: number): Promise<readonly StoredBlob[]>;
  usage(): { readonly files: number; readonly bytes: number };
  close(): Promise<void>;
}

/** Writes are sequential: one at a time, each awaited. */
export interface BlobWriter {
  readonly blobId: BlobId;
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Makes the blob durable and visible: verified, synced, renamed, directory synced.
   * @throws {DepositoError} `digest-mismatch`, `size-mismatch` (nothing is kept), `storage-failed`.
   */
  commit(expected: { readonly sizeBytes: number; readonly sha256: Sha256 }): Promise<StoredBlob>;
  /** Removes what was staged; may be called at any time, also twice, also after `commit` (then it does nothing). */
  cancel(): Promise<void>;
}

export interface BlobReader {
  readonly blob: StoredBlob;
  /**
   * The bytes of `[start, end)`, in chunks of up to 1 MiB, each verified before it is handed out.
   * Ends with `blob-damaged` at the first wrong checksum. The reader closes itself when the iteration ends, however it ends.
   * One reader reads one range.
   * @throws {DepositoError} `range-not-satisfiable`, at once.
   */
  read(range: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}
