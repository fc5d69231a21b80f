import type { NodeMembershipJson } from "../../client/wire.ts";
import type { NodeMembership } from "../depot/types.ts";

export function nodeMembershipJson({ node, membership }: NodeMembership): NodeMembershipJson {
  return { id: node, membership };
}
