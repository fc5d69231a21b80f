import type { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import { whatToDo } from "./group-health.ts";
import { type PulledSnapshot, pullSnapshot, type SnapshotPull } from "./snapshot-install.ts";

const sayEveryMs = 60_000;

/**
 * A catalog for a node that has none it can use, before it takes part in anything. As long as one other node may have one
 * it waits; where all of them have said that they have none either, it says so, since then somebody must act.
 */
export class FirstCatalog {
  readonly #pull: Omit<SnapshotPull, "onRefusal">;
  /** What came of the last attempt with each source. */
  readonly #refusals = new Map<NodeId, DepositoError>();
  #saidMs: number | undefined;

  constructor(pull: Omit<SnapshotPull, "onRefusal">) {
    this.#pull = pull;
  }

  pull(): Promise<PulledSnapshot> {
    this.#say();
    return pullSnapshot({
      ...this.#pull,
      onRefusal: (source, error) => {
        this.#refusals.set(source, error);
        this.#say();
      },
    });
  }

  /** Why this node does not serve yet. */
  get reasons(): readonly string[] {
    const answers = [...this.#refusals.values()].map(({ message }) => message);
    if (this.#isHopeless) return [`no node of the group has a usable catalog. ${whatToDo}`, ...answers];
    return ["this node has no usable catalog and waits for one from a peer", ...answers];
  }

  get #isHopeless(): boolean {
    return this.#pull.sources().every((source) => this.#refusals.get(source)?.code === "no-catalog");
  }

  #say(): void {
    if (!this.#isHopeless) return;
    const nowMs = this.#pull.clock.monotonicMs();
    if (this.#saidMs !== undefined && nowMs - this.#saidMs < sayEveryMs) return;
    this.#saidMs = nowMs;
    const [trouble, ...answers] = this.reasons;
    this.#pull.logger.error({ answers }, trouble);
  }
}
