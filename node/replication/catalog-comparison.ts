import { DepositoError } from "../base/errors.ts";
import type { LogIndex, NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Checkpoint, Checkpoints } from "./checkpoints.ts";

export interface CatalogComparisonOptions {
  readonly checkpoints: Checkpoints;
  /** How many other nodes have a catalog to compare with. */
  readonly others: () => number;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

/** Holds this node's catalog against those of its peers, at equal indexes, and says what it finds. */
export class CatalogComparison {
  readonly #options: CatalogComparisonOptions;
  /** Where each peer's catalog was last found to differ. */
  readonly #differing = new Map<NodeId, LogIndex>();

  constructor(options: CatalogComparisonOptions) {
    this.#options = options;
  }

  compare(peer: NodeId, checkpoint: Checkpoint | undefined): void {
    const { checkpoints, others, logger, onFatal } = this.#options;
    if (checkpoint === undefined) return;
    const verdict = checkpoints.compare(peer, checkpoint, others());
    if (verdict === "agree" || verdict === "unknown") return;
    // Every status carries it again while nothing new is applied.
    if (this.#differing.get(peer) !== checkpoint.index)
      logger.error({ peer, index: checkpoint.index }, "the catalogs differ");
    this.#differing.set(peer, checkpoint.index);
    if (verdict === "outvoted")
      onFatal(new DepositoError("catalog-damaged", "a majority of the peers has another catalog"));
  }
}
