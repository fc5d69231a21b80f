import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Logger } from "../base/logger.ts";
import type { ReplicaReport } from "../catalog/types.ts";
import type { Replication } from "../replication/types.ts";
import { refusalError } from "./refusal.ts";

/** Reports that one command carries at most. */
const reportsAtOnce = 256;
/** After a proposal without an answer, the same reports are proposed again this much later. */
const retryMs = 500;

interface Waiting {
  readonly report: ReplicaReport;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Brings a node's reports into the log, many in one command, one command at a time. A report whose command may have
 * been lost is proposed again: `decide` ignores what no longer fits.
 */
export class ReplicaReports {
  readonly #self: NodeId;
  readonly #replication: Replication;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #waiting: Waiting[] = [];
  #isProposing = false;
  #isClosed = false;
  #cancelRetry: (() => void) | undefined;

  constructor(options: {
    readonly self: NodeId;
    readonly replication: Replication;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#self = options.self;
    this.#replication = options.replication;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** Resolves once the report is decided and applied here. @throws {DepositoError} `no-quorum` when closed before. */
  add(report: ReplicaReport): Promise<void> {
    if (this.#isClosed) return Promise.reject(stopping());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ report, resolve, reject });
      this.#propose();
    });
  }

  /** Reports that are not decided yet are made again by the next life of this node. */
  close(): void {
    this.#isClosed = true;
    this.#cancelRetry?.();
    for (const { reject } of this.#waiting.splice(0)) reject(stopping());
  }

  #propose(): void {
    if (this.#isProposing || this.#isClosed || this.#waiting.length === 0 || this.#cancelRetry !== undefined) return;
    this.#isProposing = true;
    void this.#send(this.#waiting.splice(0, reportsAtOnce));
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const reports = batch.map(({ report }) => report);
    try {
      const { life } = this.#replication;
      const outcome = await this.#replication.propose({ type: "report-replicas", node: this.#self, life, reports });
      invariant(outcome.type === "done" || outcome.type === "refused", () => `replica reports: ${outcome.type}`);
      if (outcome.type === "refused") this.#retry(batch, refusalError(outcome));
      else for (const { resolve } of batch) resolve();
    } catch (error) {
      if (error instanceof DepositoError) this.#retry(batch, error);
      else for (const { reject } of batch) reject(error);
    }
    this.#isProposing = false;
    this.#propose();
  }

  #retry(batch: readonly Waiting[], error: Error): void {
    if (this.#isClosed) {
      for (const { reject } of batch) reject(stopping());
      return;
    }
    this.#logger.info({ reports: batch.length, err: error }, "replica reports are proposed again");
    this.#waiting.unshift(...batch);
    this.#cancelRetry = this.#clock.after(retryMs, () => {
      this.#cancelRetry = undefined;
      this.#propose();
    });
  }
}

function stopping(): DepositoError {
  return new DepositoError("no-quorum", "this node is stopping");
}
