import type { Clock } from "../base/clock.ts";
import type { NodeId } from "../base/ids.ts";
import type { NodeStatus } from "../transport/types.ts";
import type { Gossip } from "./types.ts";

/** A node is alive while its connection stands and it was heard of within this. */
const aliveMs = 2500;

interface Heard {
  readonly status: NodeStatus | undefined;
  readonly seenMs: number;
  readonly seenWallMs: number;
}

export interface GossipTableOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly isConnected: (node: NodeId) => boolean;
  /** What this node tells of itself, now. */
  readonly ownStatus: () => NodeStatus;
}

/** What every node last told of itself, and when it was last heard of at all. */
export class GossipTable implements Gossip {
  readonly #options: GossipTableOptions;
  readonly #heard = new Map<NodeId, Heard>();

  constructor(options: GossipTableOptions) {
    this.#options = options;
  }

  /** Any frame from a peer shows that it lives. */
  heardFrom(node: NodeId, status?: NodeStatus): void {
    const { clock } = this.#options;
    this.#heard.set(node, {
      status: status ?? this.#heard.get(node)?.status,
      seenMs: clock.monotonicMs(),
      seenWallMs: clock.wallMs(),
    });
  }

  of(node: NodeId): ReturnType<Gossip["of"]> {
    const { self, clock, isConnected, ownStatus } = this.#options;
    if (node === self) return { status: ownStatus(), lastSeenWallMs: clock.wallMs(), alive: true };
    const heard = this.#heard.get(node);
    if (heard?.status === undefined) return undefined;
    return {
      status: heard.status,
      lastSeenWallMs: heard.seenWallMs,
      alive: isConnected(node) && clock.monotonicMs() - heard.seenMs < aliveMs,
    };
  }
}
