import { type Clock, repeatedly } from "../base/clock.ts";
import type { NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { votersOf } from "../raft/configuration.ts";
import { isQuorum } from "../raft/quorum.ts";
import type { RaftStatus } from "../raft/types.ts";
import type { Gossip } from "./types.ts";

export interface GroupHealthOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly raft: () => RaftStatus;
  readonly heard: Gossip["of"];
}

const lookEveryMs = 1000;
/** A leader may be there and not be heard of yet. */
const patienceMs = 5000;
const sayEveryMs = 60_000;

/**
 * Notices what no protocol can mend. A voter whose log lost promised entries waits for a leader that refills it, and a
 * leader needs a majority of sound voters. Without one, waiting is not waiting: somebody must act, and must hear of it.
 */
export class GroupHealth {
  readonly #options: GroupHealthOptions;
  #stop: (() => void) | undefined;
  #hopelessSinceMs: number | undefined;
  #saidMs: number | undefined;
  #trouble: string | undefined;

  constructor(options: GroupHealthOptions) {
    this.#options = options;
  }

  /** What is wrong with the group that only an operator can mend, and what to do; undefined: nothing known. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  start(): void {
    this.#stop = repeatedly(this.#options.clock, lookEveryMs, () => this.#look());
  }

  stop(): void {
    this.#stop?.();
  }

  #look(): void {
    const doubtful = this.#doubtfulMajority();
    const nowMs = this.#options.clock.monotonicMs();
    if (doubtful === undefined) {
      this.#hopelessSinceMs = undefined;
      this.#trouble = undefined;
      return;
    }
    this.#hopelessSinceMs ??= nowMs;
    if (nowMs - this.#hopelessSinceMs < patienceMs) return;
    this.#trouble =
      `nobody can be elected: ${doubtful.join(", ")} lost entries of their logs that they had promised to keep, and ` +
      `too few other voters are left to say what stood there. ${whatToDo}`;
    if (this.#saidMs !== undefined && nowMs - this.#saidMs < sayEveryMs) return;
    this.#saidMs = nowMs;
    this.#options.logger.error({ voters: doubtful }, this.#trouble);
  }

  /** Those that lost promises, where the others are no majority and no leader is left to refill them. */
  #doubtfulMajority(): readonly NodeId[] | undefined {
    const { self, raft, heard } = this.#options;
    const { leader, configuration, lostPromises } = raft();
    if (leader !== undefined) return undefined;
    const isDoubtful = (node: NodeId) => (node === self ? lostPromises : heard(node)?.status.lostPromises === true);
    if (isQuorum(configuration, (voter) => !isDoubtful(voter))) return undefined;
    return votersOf(configuration).filter(isDoubtful);
  }
}

/** The same words wherever a majority is damaged, so that they are found in the manual. */
export const whatToDo =
  'Restore the group from a backup, or from the directory of the node that has most: see "When a majority is damaged" in docs/operations.md';
