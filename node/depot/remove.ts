import type { ClientId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { FileName } from "../catalog/names.ts";
import type { Preconditions } from "../catalog/types.ts";
import type { DepotOptions } from "./options.ts";
import { refusalError } from "./refusal.ts";

/**
 * Removes a file; its holders delete their replicas afterwards.
 * @throws {DepositoError} `file-not-found`, `precondition-failed`, `no-quorum`
 */
export async function remove(
  { replication, clock }: DepotOptions,
  clientId: ClientId,
  name: FileName,
  preconditions: Preconditions,
): Promise<void> {
  const at = clock.wallMs();
  const outcome = await replication.propose({ type: "remove", clientId, name, preconditions, at });
  if (outcome.type === "refused") throw refusalError(outcome);
  invariant(outcome.type === "done", () => `removing ${name}: ${outcome.type}`);
}
