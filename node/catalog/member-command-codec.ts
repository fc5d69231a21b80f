/** The commands that change who belongs to the group, and where replicas go because of it; see `codec.ts`. */
import { type NodeId, parseBlobId, parseClientId } from "../base/ids.ts";
import { distinctOf, type Fields, fieldsOf, listOf, logIndexOf, nodeIdOf, truthOf, uuidOf } from "./fields.ts";
import { memberFactsFields, memberFactsOf } from "./member-codec.ts";
import { fileNameOf } from "./row-codec.ts";
import type { Command, Reassignment } from "./types.ts";
import { uuidToBytes } from "./uuid-bytes.ts";

/** In the order of their tags, which follow those of the other commands. */
export const memberCommandTypes = [
  "add-member",
  "remove-member",
  "reassign-replicas",
  "forget-replicas",
  "forget-member",
] as const satisfies readonly Command["type"][];
type MemberCommandType = (typeof memberCommandTypes)[number];
type MemberCommand = Extract<Command, { readonly type: MemberCommandType }>;

export function memberCommandFields(command: MemberCommand): Fields {
  switch (command.type) {
    case "add-member":
      return [memberFactsFields(command.member)];
    case "remove-member":
      return [command.node, command.acceptLoss];
    case "reassign-replicas":
      return [command.files.map(reassignmentFields)];
    case "forget-replicas":
      return [command.node, command.life, command.blobIds.map(uuidToBytes)];
    case "forget-member":
      return [command.node, command.life];
  }
}

export function memberCommandOf(type: MemberCommandType, fields: Fields): MemberCommand {
  switch (type) {
    case "add-member": {
      const [member] = fieldsOf(fields, 1);
      return { type, member: memberFactsOf(member) };
    }
    case "remove-member": {
      const [node, acceptLoss] = fieldsOf(fields, 2);
      return { type, node: nodeIdOf(node), acceptLoss: truthOf(acceptLoss) };
    }
    case "reassign-replicas": {
      const [files] = fieldsOf(fields, 1);
      return { type, files: listOf(files).map(reassignmentOf) };
    }
    case "forget-replicas": {
      const [node, life, blobIds] = fieldsOf(fields, 3);
      const ids = listOf(blobIds).map((blobId) => uuidOf(blobId, parseBlobId));
      return { type, node: nodeIdOf(node), life: logIndexOf(life), blobIds: ids };
    }
    case "forget-member": {
      const [node, life] = fieldsOf(fields, 2);
      return { type, node: nodeIdOf(node), life: logIndexOf(life) };
    }
  }
}

function reassignmentFields({ clientId, name, blobId, ranking }: Reassignment): Fields {
  return [uuidToBytes(clientId), name, uuidToBytes(blobId), ranking];
}

function reassignmentOf(value: unknown): Reassignment {
  const [clientId, name, blobId, ranking] = fieldsOf(value, 4);
  return {
    clientId: uuidOf(clientId, parseClientId),
    name: fileNameOf(name),
    blobId: uuidOf(blobId, parseBlobId),
    ranking: distinctOf<NodeId>(ranking, nodeIdOf, (node) => node),
  };
}
