import type { Clock } from "../base/clock.ts";
import type { DepositoError } from "../base/errors.ts";
import type { Staged } from "../base/ids.ts";
import type { BatchResult, SmallBlob } from "./batch-codec.ts";

export interface BatchLimits {
  /** Blob bytes in one request; a larger blob travels alone. */
  readonly maxBytes: number;
  readonly maxCount: number;
  /** Requests under way at once. While they are, the rest waits together: that is what makes the batches. */
  readonly maxInFlight: number;
}

interface Waiting extends SmallBlob {
  readonly resolve: (staged: Staged) => void;
  readonly reject: (error: unknown) => void;
}

/** Gathers small blobs for one peer into few requests. */
export class SmallBlobBatcher {
  readonly #post: (blobs: readonly SmallBlob[]) => Promise<readonly BatchResult[]>;
  readonly #mismatch: (blob: SmallBlob) => DepositoError;
  readonly #limits: BatchLimits;
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #inFlight = 0;
  #scheduled = false;

  constructor(options: {
    readonly clock: Clock;
    readonly limits: BatchLimits;
    /** One request; one result each, in order. */
    readonly post: (blobs: readonly SmallBlob[]) => Promise<readonly BatchResult[]>;
    readonly mismatch: (blob: SmallBlob) => DepositoError;
  }) {
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#post = options.post;
    this.#mismatch = options.mismatch;
  }

  store(blob: SmallBlob): Promise<Staged> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...blob, resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      // Whatever else this turn brings travels along.
      this.#clock.soon(() => {
        this.#scheduled = false;
        this.#sendWaiting();
      });
    });
  }

  #sendWaiting(): void {
    while (this.#waiting.length > 0 && this.#inFlight < this.#limits.maxInFlight) {
      const batch = this.#takeBatch();
      this.#inFlight += 1;
      void this.#send(batch).finally(() => {
        this.#inFlight -= 1;
        this.#sendWaiting();
      });
    }
  }

  #takeBatch(): readonly Waiting[] {
    let count = 0;
    let sizeBytes = 0;
    for (const { bytes } of this.#waiting) {
      sizeBytes += bytes.length;
      if (count > 0 && (sizeBytes > this.#limits.maxBytes || count >= this.#limits.maxCount)) break;
      count += 1;
    }
    const batch = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    return batch;
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    try {
      const results = await this.#post(batch);
      for (const [at, blob] of batch.entries()) {
        const result = results[at];
        if (result !== undefined && "staged" in result) blob.resolve(result.staged);
        else blob.reject(this.#mismatch(blob));
      }
    } catch (error) {
      for (const blob of batch) blob.reject(error);
    }
  }
}
