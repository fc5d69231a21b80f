import type { Clock } from "../base/clock.ts";
import type { DepositoError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { LocalHolder, LostReplica } from "../depot/types.ts";
import type { AcceptingPeerStreams } from "../transport/peer-streams.ts";
import type { Hello, PeerDirectory, SnapshotSource } from "../transport/types.ts";

export interface PeerApiOptions {
  readonly directory: PeerDirectory;
  readonly secret: string;
  /** Asked anew for each call. */
  readonly hello: () => Hello;
  /** What members may use; undefined until this node has its stores open. */
  readonly services: () => PeerServices | undefined;
  /** What members are told until then. */
  readonly notServing: () => DepositoError;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The largest body of a batch of small blobs, its header not counted. */
  readonly maxSmallBatchBytes: number;
  /** Called with a bug, a failed disk or a damaged catalog that came up in a call: this node cannot go on as it is. */
  readonly fatal: (error: unknown) => void;
}

export interface PeerServices {
  readonly holder: LocalHolder;
  readonly snapshots: SnapshotSource;
  readonly streams: Pick<AcceptingPeerStreams, "accept">;
  /** Told of a replica that a peer's read found damaged or gone. */
  readonly reportLost: (lost: LostReplica) => void;
}
