import type { Chance } from "../base/chance.ts";
import type { Clock } from "../base/clock.ts";
import type { NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Limits, RepairSettings } from "../base/settings.ts";
import type { Gossip, Replication } from "../replication/types.ts";
import type { PeerClient } from "../transport/types.ts";
import type { LocalHolder } from "./types.ts";

/** What the verbs of one node work with; each verb takes what it needs of it. */
export interface DepotOptions {
  readonly self: NodeId;
  readonly replication: Replication;
  /** This node's own disk. */
  readonly holder: LocalHolder;
  readonly peers: PeerClient;
  readonly gossip: Gossip;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly logger: Logger;
  /** For a new file deposited without a count; never more than there are members. */
  readonly defaultReplicas: number;
  readonly limits: Limits;
  readonly repair: RepairSettings;
  /** Free bytes of this node's disk, as last measured. */
  readonly freeBytes: () => number;
  /** Set when the catalog came from a backup: called once the replicas on this disk were compared with it. */
  readonly onReplicasCompared?: (() => Promise<void>) | undefined;
  /** A bug came to light in the background: the process must end. */
  readonly onFatal: (error: unknown) => void;
}
