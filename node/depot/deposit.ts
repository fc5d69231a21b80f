/**
 * The way of a deposit:
 *
 *   early answers ──► identical bytes here? ──► choose nodes ──► body to all of them, synced ──► one command ──► answer
 *   (the log repeats    (asked in the log,       (may refuse)     (nothing kept on an error)       │
 *    all of them)        no body needed)                                                           └─ refused: discard
 *
 * Record last: until the command is decided, the copies are litter that no one can see. When no majority answers, they
 * stay: the command may still name them.
 */
import { newBlobId } from "../base/ids.ts";
import { fileTag, refuseByPreconditions } from "../catalog/preconditions.ts";
import { readFile } from "../catalog/tables.ts";
import { BodyReader, tooLarge } from "./body-reader.ts";
import { storeCopies, streamCopies } from "./deposit-copies.ts";
import { DepositOrder } from "./deposit-order.ts";
import type { DepotOptions } from "./options.ts";
import { refusalError } from "./refusal.ts";
import { parseCount } from "./replica-count.ts";
import type { DepositAnswer, DepositRequest } from "./types.ts";

/** A body up to this size is held in memory and sent to each node in one piece. */
const smallBytes = 64 * 1024;

/**
 * Deposits a body under a name. Identical bytes are not stored again, and not even asked for where the client waits.
 * @throws {DepositoError} `replicas-out-of-range`, `file-too-large`, `precondition-failed`, `not-enough-nodes`,
 *   `not-enough-space`, `size-mismatch`, `digest-mismatch`, `no-quorum`, and what the body ends with.
 */
export async function deposit(options: DepotOptions, request: DepositRequest): Promise<DepositAnswer> {
  const order = startOrder(options, request);
  const { declaredBytes, declaredSha256 } = request;
  // A body that is on its way anyway is held against its digest: it may be another one than the digest promises.
  if (request.bodyAwaited && declaredSha256 !== undefined) {
    const known = await order.withoutBytes({ sha256: declaredSha256, sizeBytes: declaredBytes });
    if (known !== undefined) return known;
  }
  const plan = order.plan(newBlobId(options.chance), declaredBytes ?? 0);
  request.wantBody();
  const body = new BodyReader({ ...request, maxFileBytes: options.limits.maxFileBytes });
  try {
    if (declaredBytes === undefined || declaredBytes <= smallBytes) {
      const bytes = await body.whole(smallBytes);
      if (bytes !== undefined) {
        const known = await order.withoutBytes(body.facts);
        if (known !== undefined) return known;
        return await order.withCopies(plan, await storeCopies(options, plan, body.facts, bytes));
      }
    }
    return await order.withCopies(plan, await streamCopies(options, plan, body, declaredBytes));
  } finally {
    // Not awaited: a body that fell silent notices only with its next chunk.
    body.close().catch((error: unknown) => options.logger.debug({ err: error }, "the rest of a body was not wanted"));
  }
}

/** What can be answered before anything is done; `decide` answers the same in its place of the order. */
function startOrder(options: DepotOptions, request: DepositRequest): DepositOrder {
  const { replication, limits } = options;
  const count = parseCount(request.replicas, replication.members());
  if ((request.declaredBytes ?? 0) > limits.maxFileBytes) throw tooLarge(limits.maxFileBytes);
  const standing = readFile(replication.catalog, request.clientId, request.name);
  const tag = standing === undefined ? undefined : fileTag(standing.blob.sha256);
  const refusal = refuseByPreconditions(request.preconditions, tag);
  if (refusal?.type === "refused") throw refusalError(refusal);
  return new DepositOrder(options, request, standing, count);
}
