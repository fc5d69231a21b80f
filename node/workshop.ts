import type { NodeId } from "./base/ids.ts";
import type { Logger } from "./base/logger.ts";
import type { Metrics } from "./base/metrics.ts";
import type { MemberFacts } from "./catalog/types.ts";
import type { Config, NodeConfig } from "./config.ts";
import type { BlobHolder } from "./depot/local-holder.ts";
import type { PeerServices } from "./peer-api/context.ts";
import type { FirstCatalog } from "./replication/first-catalog.ts";
import type { ReplicatedCatalog } from "./replication/replicated-catalog.ts";
import type { BlobStore, CatalogStore, OpenedStores } from "./storage/types.ts";
import type { Surroundings } from "./surroundings.ts";
import type { Hello } from "./transport/types.ts";

export interface NodeOptions {
  readonly config: Config;
  readonly nodeId: NodeId;
  readonly logger: Logger;
  readonly surroundings: Surroundings;
  /** False only to measure what batching brings. */
  readonly batching: boolean;
  /** Aborted to stop gracefully. */
  readonly stop: AbortSignal;
  /** A bug or a failed disk: ends the process at once, so that nothing more is promised. */
  readonly die: (error: unknown) => void;
}

/** What comes to life after those who ask for it. */
export interface LateParts {
  /** What this node waits for before it belongs to a group. */
  waitsFor: string | undefined;
  /** What this node answers who asks for its name. */
  hello: (() => Hello) | undefined;
  replicated: ReplicatedCatalog | undefined;
  /** Who belongs to the group; undefined while this node has no catalog. */
  members: (() => readonly MemberFacts[]) | undefined;
  services: PeerServices | undefined;
  /** Set while this node has no catalog it can use. */
  firstCatalog: FirstCatalog | undefined;
  /** The catalog cannot be trusted any more: what is answered from it must not go on. */
  isDamaged: boolean;
}

/** Like `OpenedStores`, with a catalog for certain. */
export type WholeStores = OpenedStores & { readonly catalog: CatalogStore };

/** This node's blobs, and what room there is for more. */
export interface LocalDisk {
  readonly blobs: BlobStore;
  readonly holder: BlobHolder;
  readonly freeBytes: () => number;
}

/** What every step of the composition needs. */
export interface Workshop extends NodeOptions {
  readonly own: NodeConfig;
  readonly metrics: Metrics;
  readonly late: LateParts;
  /** Released in the opposite order when the node ends. */
  readonly resources: AsyncDisposableStack;
  readonly fatal: (error: unknown) => void;
}
