import type { Draft } from "./draft.ts";
import { memberInLife } from "./members.ts";
import { readMembers } from "./tables.ts";
import type { Command, Outcome } from "./types.ts";

/** From here on no command can name a copy on `node` up to `upTo`, so the node may sweep those that nothing names. */
export function decideSweepFence(
  draft: Draft,
  { node, life, upTo }: Extract<Command, { type: "sweep-fence" }>,
): Outcome {
  const members = readMembers(draft);
  const member = memberInLife(members, node, life);
  if (member !== undefined && member.sweptUpTo < upTo)
    draft.putMembers(members.map((each) => (each === member ? { ...each, sweptUpTo: upTo } : each)));
  return { type: "done" };
}
