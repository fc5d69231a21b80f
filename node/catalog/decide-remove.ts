import { isClient, refuseUnknownClient } from "./decide-client.ts";
import { refuseMissingFile } from "./decide-edit.ts";
import type { Draft } from "./draft.ts";
import { fileTag, refuseByPreconditions } from "./preconditions.ts";
import { readFile } from "./tables.ts";
import type { Command, Outcome } from "./types.ts";

/** A removal: the record goes, and each of its replicas is doomed. */
export function decideRemove(draft: Draft, remove: Extract<Command, { type: "remove" }>): Outcome {
  if (!isClient(draft, remove.clientId)) return refuseUnknownClient();
  const standing = readFile(draft, remove.clientId, remove.name);
  if (standing === undefined) return refuseMissingFile();
  const refusal = refuseByPreconditions(remove.preconditions, fileTag(standing.blob.sha256));
  if (refusal !== undefined) return refusal;
  draft.changeFile(standing, undefined);
  return { type: "done" };
}
