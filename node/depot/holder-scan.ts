import { DepositoError } from "../base/errors.ts";
import { holderRange } from "../catalog/keys.ts";
import { holderOfRow } from "../catalog/tables.ts";
import type { HolderRow } from "../catalog/types.ts";
import type { DepotOptions } from "./options.ts";

const rowsAtOnce = 512;
/** Between the end of one scan and the next, at least; and at least so many times as long as the scan took. */
const minPauseMs = 30_000;
const pausePerScan = 100;
/** While those who look after the rows have no room for more. */
const crowdedMs = 1000;

/** Goes over all rows of one node from time to time, for changes that were not seen: before its start, mostly. */
export class HolderScan {
  readonly #options: DepotOptions;
  readonly #note: (row: HolderRow) => boolean;
  #cancelTimer: (() => void) | undefined;
  #underWay: Promise<void> | undefined;
  #isClosed = false;
  #wakeCrowded: (() => void) | undefined;

  /** `note` takes a row, or answers false when it has no room for it now. */
  constructor(options: DepotOptions, note: (row: HolderRow) => boolean) {
    this.#options = options;
    this.#note = note;
  }

  start(): void {
    this.#runAfter(0);
  }

  /** A row had to be passed over: do not wait for the regular time. */
  soon(): void {
    if (this.#underWay === undefined) this.#runAfter(crowdedMs);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    this.#wakeCrowded?.();
    await this.#underWay;
  }

  #runAfter(delayMs: number): void {
    this.#cancelTimer?.();
    if (this.#isClosed) return;
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      const startMs = this.#options.clock.monotonicMs();
      this.#underWay = this.#scan().then(
        () => {
          this.#underWay = undefined;
          this.#runAfter(Math.max(minPauseMs, pausePerScan * (this.#options.clock.monotonicMs() - startMs)));
        },
        (error: unknown) => this.#options.onFatal(error),
      );
    });
  }

  async #scan(): Promise<void> {
    const { self, replication, logger } = this.#options;
    let bounds = holderRange(self, undefined);
    try {
      for (;;) {
        const rows = (await replication.catalog.range({ ...bounds, limit: rowsAtOnce })).map(holderOfRow);
        for (const row of rows) {
          while (!this.#isClosed && !this.#note(row)) await this.#crowded();
          if (this.#isClosed) return;
        }
        const last = rows.at(-1);
        if (last === undefined || rows.length < rowsAtOnce) return;
        bounds = holderRange(self, last.blob.blobId);
      }
    } catch (error) {
      if (!(error instanceof DepositoError)) throw error;
      logger.info({ err: error }, "the rows of this node could not be read to the end; they are read again later");
    }
  }

  #crowded(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        this.#wakeCrowded = undefined;
        resolve();
      };
      const cancel = this.#options.clock.after(crowdedMs, wake);
      this.#wakeCrowded = wake;
    });
  }
}
