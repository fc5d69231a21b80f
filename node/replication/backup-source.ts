import { writeBackup } from "../backup/write.ts";
import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { CatalogStore } from "../storage/types.ts";

export interface BackupSourceOptions {
  /** Asked for each backup: the catalog may have been installed anew. */
  readonly store: () => Pick<CatalogStore, "snapshot">;
  readonly barrier: () => Promise<void>;
  readonly clock: Clock;
}

/** Hands out this node's catalog as a backup, to one reader at a time: a frozen view keeps old LevelDB tables on disk. */
export class BackupSource {
  readonly #options: BackupSourceOptions;
  #isReading = false;

  constructor(options: BackupSourceOptions) {
    this.#options = options;
  }

  /**
   * The backup, in pieces of about 1 MiB; it has everything that was acknowledged before. Reading may stop at any piece.
   * @throws {DepositoError} `too-many-requests` while another one is being read; `no-quorum`; `catalog-damaged`
   */
  async *read(): AsyncGenerator<Buffer, void, void> {
    const { store, barrier, clock } = this.#options;
    if (this.#isReading)
      throw new DepositoError("too-many-requests", "a backup of this node is being made already; try again later");
    this.#isReading = true;
    try {
      await barrier();
      const view = store().snapshot();
      try {
        yield* writeBackup(view, new Date(clock.wallMs()));
      } finally {
        await view.close();
      }
    } finally {
      this.#isReading = false;
    }
  }
}
