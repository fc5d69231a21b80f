import { pause } from "../base/aborting.ts";
import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";

export interface ReadinessOptions {
  readonly clock: Clock;
  readonly barrier: () => Promise<void>;
  /**
   * Whether a majority of the voters is heard and can be sent to, this node counted: then their doors know it too. Nodes
   * that were added and never came, and storage that is away, keep nobody from serving.
   */
  readonly isAcquainted: () => boolean;
  readonly isInstalling: () => boolean;
  readonly leader: () => NodeId | undefined;
  /** What only an operator can mend. */
  readonly trouble: () => string | undefined;
  readonly signal: AbortSignal;
}

const retryMs = 1000;

/** Whether the node should get requests: once it has applied what the leader had committed when it joined. */
export class Readiness {
  readonly #options: ReadinessOptions;
  #hasCaughtUp = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** Resolves when the node has caught up, or is stopped. */
  async reach(): Promise<void> {
    const { clock, barrier, isAcquainted, signal } = this.#options;
    while (!signal.aborted && !this.#hasCaughtUp) {
      try {
        await barrier();
        this.#hasCaughtUp = isAcquainted();
      } catch (error) {
        if (!(error instanceof DepositoError)) throw error;
      }
      if (!this.#hasCaughtUp) await pause(clock, retryMs, signal);
    }
  }

  /** Why not; none: it is ready. */
  get reasons(): readonly string[] {
    const { isInstalling, trouble } = this.#options;
    const beyondHelp = trouble();
    if (beyondHelp !== undefined) return [beyondHelp];
    const reasons: string[] = [];
    if (isInstalling()) reasons.push("the catalog is being installed from a peer");
    if (!this.#hasCaughtUp) reasons.push(this.#whyBehind());
    return reasons;
  }

  #whyBehind(): string {
    const { leader, isAcquainted } = this.#options;
    const known = leader();
    if (known === undefined) return "no leader is known";
    return isAcquainted() ? `catching up with ${known}` : "too few other nodes are connected";
  }
}
