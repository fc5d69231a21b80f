import { invariant } from "../base/invariant.ts";
import type { FileRecord } from "../catalog/types.ts";
import { chooseNodes } from "./choose-nodes.ts";
import type { DepotOptions } from "./options.ts";
import { readRecord } from "./record.ts";
import { refusalError } from "./refusal.ts";
import { parseCount } from "./replica-count.ts";
import type { EditRequest } from "./types.ts";

/**
 * Changes a file's replica count or content type; holders add and drop replicas afterwards, in this order.
 * @throws {DepositoError} `file-not-found`, `replicas-out-of-range`, `precondition-failed`, `no-quorum`
 */
export async function edit(options: DepotOptions, request: EditRequest): Promise<FileRecord> {
  const { replication, clock } = options;
  const { clientId, name, contentType, preconditions } = request;
  const { blob } = readRecord(replication.catalog, clientId, name);
  const outcome = await replication.propose({
    type: "edit",
    clientId,
    name,
    replicas: parseCount(request.replicas, replication.members()),
    contentType,
    ranking: chooseNodes(options, blob.blobId, blob.sizeBytes).ranking,
    preconditions,
    at: clock.wallMs(),
  });
  if (outcome.type === "refused") throw refusalError(outcome);
  invariant(outcome.type === "edited", () => `editing ${name}: ${outcome.type}`);
  return outcome.record;
}
