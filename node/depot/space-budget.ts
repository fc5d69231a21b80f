import { DepositoError } from "../base/errors.ts";

export interface SpaceBudgetOptions {
  /** As last measured; may be about a second old. */
  readonly freeBytes: () => number;
  readonly minFreeBytes: number;
}

/** Room set aside for one blob. */
export interface Reservation {
  /** Bytes of it are about to be written. @throws {DepositoError} `not-enough-space` below the low-water mark. */
  take(bytes: number): void;
  /** Gives back what was not taken. May be called twice. */
  release(): void;
}

/**
 * Keeps `minFreeBytes` free, because LevelDB on the same disk must never meet its end: sizes that are known are reserved
 * before anything moves, sizes that are not are refused when the mark is reached. What was written since the last
 * measurement counts as taken, so that a fast upload cannot run past the mark within the second.
 */
export class SpaceBudget {
  readonly #options: SpaceBudgetOptions;
  #reservedBytes = 0;
  #measuredBytes: number;
  #takenSinceMeasured = 0;

  constructor(options: SpaceBudgetOptions) {
    this.#options = options;
    this.#measuredBytes = options.freeBytes();
  }

  /** @throws {DepositoError} `not-enough-space` */
  reserve(expectedBytes: number | undefined): Reservation {
    const wantedBytes = expectedBytes ?? 0;
    const roomBytes = this.#roomBytes() - this.#reservedBytes;
    if (roomBytes <= 0 || wantedBytes > roomBytes)
      throw new DepositoError("not-enough-space", `${wantedBytes} bytes wanted, room for ${Math.max(0, roomBytes)}`);
    this.#reservedBytes += wantedBytes;
    let leftBytes = wantedBytes;
    const giveBack = (bytes: number) => {
      const given = Math.min(bytes, leftBytes);
      leftBytes -= given;
      this.#reservedBytes -= given;
    };
    return {
      take: (bytes) => {
        if (this.#roomBytes() < bytes)
          throw new DepositoError("not-enough-space", `the low-water mark of ${this.#options.minFreeBytes} is reached`);
        this.#takenSinceMeasured += bytes;
        giveBack(bytes);
      },
      release: () => giveBack(leftBytes),
    };
  }

  #roomBytes(): number {
    const freeBytes = this.#options.freeBytes();
    if (freeBytes !== this.#measuredBytes) {
      this.#measuredBytes = freeBytes;
      this.#takenSinceMeasured = 0;
    }
    return freeBytes - this.#takenSinceMeasured - this.#options.minFreeBytes;
  }
}
