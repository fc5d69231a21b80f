import { type LogIndex, version } from "../base/ids.ts";
import { isClient, refuseUnknownClient } from "./decide-client.ts";
import type { Draft } from "./draft.ts";
import { recordTag, refuse, refuseByPreconditions } from "./preconditions.ts";
import { recountHolders, refuseByCount } from "./replica-count.ts";
import { readFile, readMembers } from "./tables.ts";
import type { Command, FileRecord, Outcome } from "./types.ts";

/**
 * A change of count or content type. A missing file and an impossible count come before the preconditions
 * (RFC 9110 §13.2.1); an edit that changes nothing leaves the version as it is.
 */
export function decideEdit(draft: Draft, index: LogIndex, edit: Extract<Command, { type: "edit" }>): Outcome {
  if (!isClient(draft, edit.clientId)) return refuseUnknownClient();
  const standing = readFile(draft, edit.clientId, edit.name);
  if (standing === undefined) return refuseMissingFile();
  const members = readMembers(draft);
  const refusal =
    refuseByCount(edit.replicas, members) ?? refuseByPreconditions(edit.preconditions, recordTag(standing.version));
  if (refusal !== undefined) return refusal;
  const replicas = edit.replicas ?? standing.replicas;
  const contentType = edit.contentType ?? standing.contentType;
  if (replicas === standing.replicas && contentType === standing.contentType)
    return { type: "edited", record: standing };
  const record: FileRecord = {
    ...standing,
    replicas,
    contentType,
    version: version(index),
    updatedAt: edit.at,
    holders: recountHolders(standing, replicas, edit.ranking, members),
  };
  draft.changeFile(standing, record);
  return { type: "edited", record };
}

export function refuseMissingFile(): Outcome {
  return refuse("file-not-found", "there is no file of this name");
}
