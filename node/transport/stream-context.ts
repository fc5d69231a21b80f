import type { Clock, Random } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Membership } from "./membership.ts";
import type { PeerDirectory, PeerStreamEvents } from "./types.ts";

/** What all streams of one node share. */
export interface StreamContext {
  readonly membership: Membership;
  readonly directory: PeerDirectory;
  readonly events: PeerStreamEvents;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Beyond this many waiting bytes, frames for a peer are dropped. */
  readonly maxQueuedBytes: number;
  readonly timing: StreamTiming;
}

export interface StreamTiming {
  /** From dialing to the welcome. */
  readonly handshakeMs: number;
  readonly pingMs: number;
  /** So many pings without an answer, and the stream is dialed anew. */
  readonly maxUnansweredPings: number;
}
