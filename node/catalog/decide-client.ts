import type { ClientId } from "../base/ids.ts";
import type { Draft } from "./draft.ts";
import { clientKey } from "./keys.ts";
import { refuse } from "./preconditions.ts";
import { readClient } from "./tables.ts";
import type { CatalogView, Command, Outcome } from "./types.ts";

export function decideRegisterClient(
  draft: Draft,
  { clientId, secretHash, label, at }: Extract<Command, { type: "register-client" }>,
): Outcome {
  // A second client with the same id would take over the first one's files.
  if (isClient(draft, clientId)) return refuse("unauthenticated", "this client id is taken: register again");
  draft.putClient({ clientId, secretHash, label, files: 0, bytes: 0, replicaBytes: 0, createdAt: at });
  return { type: "done" };
}

export function decideRotateSecret(
  draft: Draft,
  { clientId, secretHash }: Extract<Command, { type: "rotate-secret" }>,
): Outcome {
  const client = readClient(draft, clientId);
  if (client === undefined) return refuseUnknownClient();
  draft.putClient({ ...client, secretHash });
  return { type: "done" };
}

/** Cheaper than reading the record: every command on a file asks. */
export function isClient(view: CatalogView, clientId: ClientId): boolean {
  return view.get(clientKey(clientId)) !== undefined;
}

export function refuseUnknownClient(): Outcome {
  return refuse("unauthenticated", "there is no such client: register one first");
}
