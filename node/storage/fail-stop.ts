import { DepositoError } from "../base/errors.ts";

/**
 * One disk, one fate: after the first failed write or sync nothing is written any more. LevelDB acknowledges synced
 * writes after an ENOSPC and loses them, and a failed fsync succeeds on retry with the pages gone, so the process ends
 * at the first failure and recovers from what the disk really holds.
 */
export class FailStop {
  #first: DepositoError | undefined;

  /** @throws {DepositoError} `storage-failed` when any guarded write failed before. */
  check(): void {
    if (this.#first !== undefined) {
      throw new DepositoError("storage-failed", `the disk failed before: ${this.#first.message}`, {
        cause: this.#first,
      });
    }
  }

  /**
   * Does one write or sync, unless one failed before; `what` says which in the error.
   * @throws {DepositoError} `storage-failed`
   */
  async guard<T>(what: string, write: () => Promise<T>): Promise<T> {
    this.check();
    try {
      return await write();
    } catch (error) {
      throw this.fail(what, error);
    }
  }

  /** Ends all writing from now on; the error to throw. */
  fail(what: string, cause: unknown): DepositoError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const error = new DepositoError("storage-failed", `${what}: ${reason}`, { cause });
    this.#first ??= error;
    return error;
  }
}
