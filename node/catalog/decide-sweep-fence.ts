import type { Draft } from "./draft.ts";
import { readMembers } from "./tables.ts";
import type { Command, Outcome } from "./types.ts";

/** From here on no command can name a copy on `node` up to `upTo`, so the node may sweep those that nothing names. */
export function decideSweepFence(draft: Draft, { node, upTo }: Extract<Command, { type: "sweep-fence" }>): Outcome {
  const members = readMembers(draft);
  if (members.some(({ id, sweptUpTo }) => id === node && sweptUpTo < upTo))
    draft.putMembers(members.map((member) => (member.id === node ? { ...member, sweptUpTo: upTo } : member)));
  return { type: "done" };
}
