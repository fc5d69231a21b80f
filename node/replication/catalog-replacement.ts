import type { NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Effects } from "../raft/types.ts";
import { type PulledSnapshot, pullSnapshot, type SnapshotPull } from "./snapshot-install.ts";

export interface CatalogReplacementOptions extends Pick<SnapshotPull, "peers" | "begin" | "clock"> {
  readonly logger: Logger;
  /** Whom to ask, best first. */
  readonly sources: (leader: NodeId) => readonly NodeId[];
  /** Puts the pulled catalog in the place of the present one. */
  readonly replace: (pulled: PulledSnapshot) => Promise<void>;
  readonly onFatal: (error: unknown) => void;
}

/** Gets this node a new catalog from a peer while it runs, one at a time. */
export class CatalogReplacement {
  readonly #options: CatalogReplacementOptions;
  readonly #stopping = new AbortController();
  #underWay: Promise<void> | undefined;

  constructor(options: CatalogReplacementOptions) {
    this.#options = options;
  }

  get isUnderWay(): boolean {
    return this.#underWay !== undefined;
  }

  /** The leader says that the log it still has begins after what this node holds; it says so again and again. */
  begin(need: NonNullable<Effects["snapshotNeeded"]>): void {
    if (this.#underWay !== undefined || this.#stopping.signal.aborted) return;
    const { logger, onFatal } = this.#options;
    logger.info({ from: need.from, index: need.position.index }, "too far behind the log: pulling a snapshot");
    this.#underWay = this.#pullAndReplace(need).then(
      () => {
        this.#underWay = undefined;
      },
      (error: unknown) => {
        this.#underWay = undefined;
        if (!this.#stopping.signal.aborted) onFatal(error);
      },
    );
  }

  /** Resolves once nothing is pulled or put in place any more. */
  async stop(reason: Error): Promise<void> {
    this.#stopping.abort(reason);
    await this.#underWay;
  }

  async #pullAndReplace({ from, position }: NonNullable<Effects["snapshotNeeded"]>): Promise<void> {
    const { peers, begin, clock, logger, sources, replace } = this.#options;
    const pulled = await pullSnapshot({
      peers,
      begin,
      clock,
      logger,
      sources: () => sources(from),
      atLeast: position.index,
      signal: this.#stopping.signal,
    });
    await replace(pulled);
  }
}
