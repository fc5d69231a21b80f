import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { StorageDisk } from "../storage/disk.ts";

export interface FreeSpaceOptions {
  /** Any path on the file system in question. */
  readonly path: string;
  readonly disk: Pick<StorageDisk, "freeBytes">;
  readonly clock: Clock;
  readonly logger: Logger;
}

const refreshMs = 1000;

/** How much room a file system has, measured anew about once a second in the background. */
export class FreeSpace {
  readonly #options: FreeSpaceOptions;
  #bytes: number;
  #cancelRefresh: () => void = () => undefined;
  #closed = false;

  private constructor(options: FreeSpaceOptions, bytes: number) {
    this.#options = options;
    this.#bytes = bytes;
  }

  /** Measures once before it resolves. */
  static async open(options: FreeSpaceOptions): Promise<FreeSpace> {
    const space = new FreeSpace(options, await options.disk.freeBytes(options.path));
    space.#refreshLater();
    return space;
  }

  /** What an unprivileged process may still take, as last measured. */
  bytes(): number {
    return this.#bytes;
  }

  close(): void {
    this.#closed = true;
    this.#cancelRefresh();
  }

  #refreshLater(): void {
    if (this.#closed) return;
    this.#cancelRefresh = this.#options.clock.after(refreshMs, () => void this.#refresh());
  }

  async #refresh(): Promise<void> {
    const { path, disk, logger } = this.#options;
    try {
      this.#bytes = await disk.freeBytes(path);
    } catch (error) {
      // The last value stands: to invent another would refuse deposits, or fill the disk.
      logger.warn({ path, error: String(error) }, "the free space could not be measured");
    }
    this.#refreshLater();
  }
}
