import type { Chance } from "../base/chance.ts";
import type { Clock } from "../base/clock.ts";
import type { Incarnation, NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Metrics } from "../base/metrics.ts";
import type { RaftSettings } from "../base/settings.ts";
import type { CatalogMeta } from "../catalog/apply.ts";
import type { ConsensusCore, RaftOptions } from "../raft/types.ts";
import type { CatalogStore, OpenedStores } from "../storage/types.ts";
import type { PeerClient, PeerFrame } from "../transport/types.ts";
import type { AppliedBatch, Applier } from "./applier.ts";
import type { ApplyLimits } from "./apply-queue.ts";
import { checkpointEntries } from "./checkpoints.ts";
import type { RetentionLimits } from "./log-retention.ts";
import type { Gossip } from "./types.ts";

/** What a replicated catalog is made from. */
export interface ReplicatedCatalogOptions {
  readonly self: NodeId;
  readonly incarnation: Incarnation;
  /** How often this node was started: makes read positions unique. */
  readonly boots: number;
  readonly stores: Pick<OpenedStores, "log" | "installCatalog"> & { readonly catalog: CatalogStore };
  readonly send: (to: NodeId, frame: PeerFrame) => void;
  readonly peers: Pick<PeerClient, "snapshotChunk">;
  /** What a node last told of itself. */
  readonly heard: Gossip["of"];
  readonly settings: RaftSettings;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly logger: Logger;
  readonly metrics: Metrics | undefined;
  readonly batching: boolean;
  readonly tuning: ReplicationTuning;
  /** Looks on; undefined in production. */
  readonly witness?: ReplicationWitness | undefined;
  /** A bug or a storage failure: the process must end. `catalog-damaged` asks for a new catalog from the peers. */
  readonly onFatal: (error: unknown) => void;
}

/** Sees what consensus and catalog do, and takes no part in it: how the simulator checks them after every step. */
export interface ReplicationWitness {
  /** What is to be stepped in place of `core`, which starts `from` here over such a catalog: it must pass every call on. */
  watch(core: ConsensusCore, from: RaftOptions, catalog: CatalogMeta): ConsensusCore;
  /** The catalog shows these entries. It cannot be read while another one takes its place. */
  applied(batch: AppliedBatch, to: Pick<Applier, "meta" | "catalog" | "isReplacing">): void;
  /** The catalog was installed anew from a peer. */
  installed(meta: CatalogMeta): void;
}

/** How often replication does what need not be done with every entry, and how patient it is. */
export interface ReplicationTuning extends RetentionLimits, ApplyLimits {
  /** The catalog is synced, and the log trimmed, after this many entries. */
  readonly syncEveryEntries: number;
  /** Catalog digests are compared at every multiple of this; the same on all nodes. */
  readonly checkpointEntries: number;
  /** A client's request waits no longer than this for a majority. */
  readonly quorumTimeoutMs: number;
  /** Bounds of the consensus core. */
  readonly core: Pick<RaftOptions, "maxAppendBytes" | "maxInflightAppends" | "maxUncommittedBytes" | "maxCachedBytes">;
}

export const defaultTuning: ReplicationTuning = {
  syncEveryEntries: 8192,
  keepEntries: 8192,
  maxHeldEntries: 1 << 20,
  maxHeldBytes: 1 << 30,
  maxHeldMs: 30 * 60_000,
  maxUnappliedEntries: 65_536,
  maxUnappliedBytes: 32 << 20,
  checkpointEntries,
  quorumTimeoutMs: 5000,
  core: { maxAppendBytes: 1 << 20, maxInflightAppends: 64, maxUncommittedBytes: 64 << 20, maxCachedBytes: 16 << 20 },
};
