import type { Draft } from "./draft.ts";
import { settleHolders } from "./holders.ts";
import { readFile, readMembers } from "./tables.ts";
import type { Command, Outcome } from "./types.ts";

/** Settles the holders of files anew, one by one. No file's version changes: a client that saw it sees the same one. */
export function decideReassign(draft: Draft, { files }: Extract<Command, { type: "reassign-replicas" }>): Outcome {
  const members = readMembers(draft);
  for (const { clientId, name, blobId, ranking } of files) {
    const record = readFile(draft, clientId, name);
    if (record?.blob.blobId !== blobId) continue;
    draft.changeFile(record, { ...record, holders: settleHolders(record, ranking, members) });
  }
  return { type: "done" };
}
