import { decideRegisterClient, decideRotateSecret } from "./decide-client.ts";
import { decideDeposit } from "./decide-deposit.ts";
import { decideEdit } from "./decide-edit.ts";
import {
  decideAddMember,
  decideForgetMember,
  decideForgetReplicas,
  decideRemoveMember,
  type MembershipContext,
} from "./decide-members.ts";
import { decideReassign } from "./decide-reassign.ts";
import { decideRemove } from "./decide-remove.ts";
import { decideReports } from "./decide-reports.ts";
import { decideSweepFence } from "./decide-sweep-fence.ts";
import { type Decision, Draft } from "./draft.ts";
import type { CatalogView, Command, Outcome } from "./types.ts";

/**
 * What a command brings about at its place in the log: the same on every node, for it depends on nothing but the catalog
 * before it, the command, the configuration applied before it, and `index`, which becomes the version of a file that
 * changes. A refused command writes nothing.
 */
export function decide(view: CatalogView, at: MembershipContext & { readonly command: Command }): Decision {
  const draft = new Draft(view);
  return draft.decision(outcomeOf(draft, at, at.command));
}

function outcomeOf(draft: Draft, at: MembershipContext, command: Command): Outcome {
  const { index } = at;
  switch (command.type) {
    case "register-client":
      return decideRegisterClient(draft, command);
    case "rotate-secret":
      return decideRotateSecret(draft, command);
    case "deposit":
      return decideDeposit(draft, index, command);
    case "edit":
      return decideEdit(draft, index, command);
    case "remove":
      return decideRemove(draft, command);
    case "report-replicas":
      return decideReports(draft, command);
    case "sweep-fence":
      return decideSweepFence(draft, command);
    case "add-member":
      return decideAddMember(draft, at, command);
    case "remove-member":
      return decideRemoveMember(draft, at, command);
    case "reassign-replicas":
      return decideReassign(draft, command);
    case "forget-replicas":
      return decideForgetReplicas(draft, command);
    case "forget-member":
      return decideForgetMember(draft, at, command);
  }
}
