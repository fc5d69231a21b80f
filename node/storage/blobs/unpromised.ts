import { DepositoError } from "../../base/errors.ts";
import { systemCode } from "../disk.ts";
import type { FailStop } from "../fail-stop.ts";

/**
 * As `FailStop.guard`, for what has promised nothing yet: making and filling a stage, reading names. A want of space or of
 * descriptors ends that one call there. Which failures end the whole store, and why:
 *
 *   no space in a write of    the kernel made no promise: the file is known to be incomplete, nobody can see it, and it is
 *   a stage                   removed. That upload alone ends, with `not-enough-space`; the room it took is free again.
 *   fdatasync, fsync          the kernel may have dropped pages and called them clean, in a directory those of names that
 *                             other blobs were acknowledged with. A second sync would succeed and mean nothing. Only a
 *                             new start, reading what is really there, knows more. No space is no exception: a file
 *                             system that allocates late reports it here, after the bytes were accepted.
 *   rename, unlink            whether the name changed is unknown, and nothing that depends on it can be acknowledged.
 *   any other write           a disk that refused one write with EIO or EROFS is not trusted with the next.
 *
 * @throws {DepositoError} `not-enough-space`, `internal-error` (no descriptor left), `storage-failed`
 */
export async function guardUnpromised<T>(failStop: FailStop, what: string, write: () => Promise<T>): Promise<T> {
  failStop.check();
  try {
    return await write();
  } catch (error) {
    switch (systemCode(error)) {
      case "ENOSPC":
      case "EDQUOT":
        throw new DepositoError("not-enough-space", `${what}: the disk is full`, { cause: error });
      case "EMFILE":
      case "ENFILE":
        throw new DepositoError("internal-error", `${what}: too many open files`, { cause: error });
      default:
        throw failStop.fail(what, error);
    }
  }
}
