import type { Clock } from "../base/clock.ts";
import type { NodeId } from "../base/ids.ts";
import { isQuorum } from "../raft/quorum.ts";
import type { Leadership, RaftStatus } from "../raft/types.ts";

export interface DepartureOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly raft: () => RaftStatus;
  /** Asks the core to hand leadership to the voter that is furthest. */
  readonly transfer: () => void;
  /** Answers everybody who waits for a majority, and refuses whoever comes. */
  readonly giveUp: () => void;
}

/** How a node leaves: it hands leadership over, and waits for nobody where the whole group stops at once. */
export class Departure {
  readonly #options: DepartureOptions;
  /** Peers whose process is known to be gone. */
  readonly #gone = new Set<NodeId>();
  #isLeaving = false;
  #handedOver: (() => void) | undefined;

  constructor(options: DepartureOptions) {
    this.#options = options;
  }

  /** Resolves when another node leads, when too many voters are gone for that, or after `withinMs`. */
  async begin(withinMs: number): Promise<void> {
    const { self, clock, raft, transfer } = this.#options;
    this.#isLeaving = true;
    this.#giveUpWithoutMajority();
    const { role, configuration } = raft();
    const isAlone = [...configuration.voters, ...configuration.outgoing].every((voter) => voter === self);
    if (role !== "leader" || isAlone || !this.#hasMajority) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(withinMs, resolve);
    this.#handedOver = resolve;
    transfer();
    await promise;
    cancel();
  }

  peerConnected(peer: NodeId): void {
    this.#gone.delete(peer);
  }

  /** The host of `peer` says that its process is gone. */
  peerRefused(peer: NodeId): void {
    this.#gone.add(peer);
    this.#giveUpWithoutMajority();
  }

  leadershipChanged({ role, leader }: Leadership): void {
    // Not before the new one leads: it may still need this node's vote.
    if (role !== "leader" && leader !== undefined) this.#handedOver?.();
  }

  /** Whether so many voters are not known to be gone that they could decide anything. */
  get #hasMajority(): boolean {
    return isQuorum(this.#options.raft().configuration, (voter) => !this.#gone.has(voter));
  }

  #giveUpWithoutMajority(): void {
    if (!this.#isLeaving || this.#hasMajority) return;
    this.#options.giveUp();
    this.#handedOver?.();
  }
}
