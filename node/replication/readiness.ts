import { pause } from "../base/aborting.ts";
import { DepositoError } from "../base/errors.ts";
import { GroupHealth, type GroupHealthOptions } from "./group-health.ts";

export interface ReadinessOptions extends GroupHealthOptions {
  readonly barrier: () => Promise<void>;
  /**
   * Whether a majority of the voters is heard and can be sent to, this node counted: then their doors know it too. Nodes
   * that were added and never came, and storage that is away, keep nobody from serving.
   */
  readonly isAcquainted: () => boolean;
  readonly isInstalling: () => boolean;
  readonly signal: AbortSignal;
}

const retryMs = 1000;

/** Whether the node should get requests: once it has applied what the leader had committed when it joined. */
export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #health: GroupHealth;
  #hasCaughtUp = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
    this.#health = new GroupHealth(options);
  }

  /** What is wrong with the group that only an operator can mend, and what to do; undefined: nothing known. */
  get trouble(): string | undefined {
    return this.#health.trouble;
  }

  /** Resolves when the node has caught up, or is stopped; the group's health is watched until it is stopped. */
  async reach(): Promise<void> {
    const { clock, barrier, isAcquainted, signal } = this.#options;
    this.#health.start();
    signal.addEventListener("abort", () => this.#health.stop(), { once: true });
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
    if (this.trouble !== undefined) return [this.trouble];
    const reasons: string[] = [];
    if (this.#options.isInstalling()) reasons.push("the catalog is being installed from a peer");
    if (!this.#hasCaughtUp) reasons.push(this.#whyBehind());
    return reasons;
  }

  #whyBehind(): string {
    const { raft, isAcquainted } = this.#options;
    const { leader } = raft();
    if (leader === undefined) return "no leader is known";
    return isAcquainted() ? `catching up with ${leader}` : "too few other nodes are connected";
  }
}
