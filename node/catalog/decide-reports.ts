/**
 * A node's word on its own replicas. Rows go through these states; a report that does not fit the row's state is late and
 * changes nothing.
 *
 *              made                        count lowered, file replaced or removed
 *   missing ──────────► present         missing, present ──────────────────────────► doomed ──dropped──► no row
 *           ◄──────────                                                                │
 *              lost                     missing ◄──────────── count raised ────────────┘
 *
 * None of this changes a file's version: a client that saw the file sees the same one.
 */
import { invariant } from "../base/invariant.ts";
import type { Draft } from "./draft.ts";
import { trimHolders } from "./holders.ts";
import { memberInLife } from "./members.ts";
import { readFile, readHolder, readMembers } from "./tables.ts";
import type { Command, FileRecord, Holder, HolderRow, MemberRecord, Outcome, ReplicaReport } from "./types.ts";

export function decideReports(
  draft: Draft,
  { node, life, reports }: Extract<Command, { type: "report-replicas" }>,
): Outcome {
  const members = readMembers(draft);
  const member = memberInLife(members, node, life);
  if (member !== undefined) for (const report of reports) takeReport(draft, members, member, report);
  return { type: "done" };
}

function takeReport(draft: Draft, members: readonly MemberRecord[], member: MemberRecord, report: ReplicaReport): void {
  const row = readHolder(draft, member.id, report.blobId);
  // Without a row nobody waits for these bytes, and nothing is known of them: they are litter for the sweeper.
  if (row === undefined) return;
  switch (report.type) {
    case "made":
      if (row.state === "present") return;
      // The row is put again as it is, so that its node hears of it: it must delete the copy, or fetch it anew.
      if (row.state === "doomed" || report.staged <= member.sweptUpTo) return draft.putHolder(row);
      return changeHolder(draft, members, row, { node: row.node, state: "present", staged: report.staged });
    case "lost":
      if (row.state === "present") changeHolder(draft, members, row, { node: row.node, state: "missing" });
      return;
    case "dropped":
      if (row.state === "doomed") draft.removeHolder(row.node, row.blob.blobId);
      return;
  }
}

/** Puts `holder` in the place of its former self, and drops what is surplus with it. */
function changeHolder(draft: Draft, members: readonly MemberRecord[], row: HolderRow, holder: Holder): void {
  const record = recordOf(draft, row);
  const holders = record.holders.map((former) => (former.node === holder.node ? holder : former));
  draft.changeFile(record, { ...record, holders: trimHolders(holders, record.replicas, members) });
}

/** A row that is not doomed has its file, and its place among the file's holders. */
function recordOf(draft: Draft, row: HolderRow): FileRecord {
  const record = readFile(draft, row.clientId, row.name);
  invariant(
    record?.blob.blobId === row.blob.blobId && record.holders.some(({ node }) => node === row.node),
    () => `the ${row.state} replica ${row.blob.blobId} of ${row.node} has no place in its file`,
  );
  return record;
}
