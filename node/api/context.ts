import type { Clock } from "../base/clock.ts";
import type { NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Limits } from "../base/settings.ts";
import type { Depot } from "../depot/types.ts";
import type { Replication } from "../replication/types.ts";

/** What the API is built from. */
export interface ApiOptions {
  readonly depot: Depot;
  readonly replication: Pick<Replication, "readiness" | "raft">;
  /**
   * The group's metadata as a backup (`node/backup/format.ts`), with everything that was acknowledged before.
   * @throws {DepositoError} `too-many-requests` while another one is being read here; `no-quorum`
   */
  readonly backup: () => AsyncIterable<Uint8Array>;
  readonly config: ApiConfig;
  readonly self: NodeId;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  /** The process must end: a broken invariant, or a write or sync that failed. The request is answered already. */
  readonly onFatal: (error: unknown) => void;
  readonly limits: ApiLimits;
}

/** The part of the configuration file that the API looks at. */
export interface ApiConfig {
  readonly adminToken: string;
  readonly registration: "open" | "admin";
  readonly limits: Pick<Limits, "maxFileBytes" | "uploadIdleMs">;
}

/** Bounds on what one address, and all together, may ask of a node. */
export interface ApiLimits {
  readonly registrationsPerMinute: number;
  readonly failedAuthenticationsPerMinute: number;
  readonly requestsUnderWay: number;
  /** Of these, event streams. */
  readonly eventStreams: number;
  /** A reader may leave the bytes of its reply untouched this long before the connection is reset. */
  readonly downloadIdleMs: number;
  /** A request's header fields must have arrived by then. */
  readonly headersTimeoutMs: number;
}

export const defaultApiLimits: ApiLimits = {
  registrationsPerMinute: 600,
  failedAuthenticationsPerMinute: 600,
  requestsUnderWay: 2000,
  eventStreams: 256,
  downloadIdleMs: 60_000,
  headersTimeoutMs: 10_000,
};
