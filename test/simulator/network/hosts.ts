import type { ApiOptions } from "../../../node/api/context.ts";
import type { NodeId } from "../../../node/base/ids.ts";
import type { PeerApiOptions } from "../../../node/peer-api/context.ts";
import type { Membership } from "../../../node/transport/membership.ts";
import type { PeerFrame } from "../../../node/transport/types.ts";
import type { Coverage } from "../coverage.ts";
import type { Life } from "../life.ts";
import type { Lots } from "../lots.ts";
import type { Timeline } from "../timeline.ts";
import type { Trace } from "../trace.ts";
import type { Links, NetworkHabits } from "./links.ts";
import type { SimulatedStreams } from "./streams.ts";

/** A process that answers peers. */
export interface PeerPort {
  readonly life: Life;
  readonly membership: Membership;
  readonly options: PeerApiOptions;
}

/** A process that answers clients. */
export interface Door {
  readonly life: Life;
  readonly options: ApiOptions;
}

/** All hosts of one world, what listens on each, and the ways between them. A node's host has the node's name. */
export interface SimulatedHosts {
  readonly timeline: Timeline;
  readonly links: Links;
  readonly lots: Lots;
  /** Replaced once by better ones, for the quiet end. */
  habits: NetworkHabits;
  readonly coverage: Coverage;
  readonly trace: Trace;
  readonly ports: Map<NodeId, PeerPort>;
  readonly doors: Map<NodeId, Door>;
  readonly streams: Map<NodeId, SimulatedStreams>;
  /** A frame leaves its node: whatever it promises is promised now. */
  readonly onSent: (from: NodeId, to: NodeId, frame: PeerFrame) => void;
  /** Something that production would log as a bug. */
  readonly onBug: (where: string, error: unknown) => void;
}
