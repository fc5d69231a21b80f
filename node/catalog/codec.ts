/**
 * Proposals, as they travel to the leader and rest in the log: `[id, basis, command, …its fields]`.
 *
 * They come from peers, so decoding trusts nothing; it is written by hand because it runs for every entry.
 */

import { DepositoError, hasCode } from "../base/errors.ts";
import { type ClientId, parseBlobId, parseClientId, parseCommandId, type ReplicaCount } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import {
  choiceOf,
  decodeFields,
  distinctOf,
  encodeFields,
  type Fields,
  fieldsOf,
  listOf,
  logIndexOf,
  nodeIdOf,
  optionalOf,
  replicaCountOf,
  sha256Bytes,
  sha256Of,
  stagedOf,
  textOf,
  uuidOf,
  wholeOf,
} from "./fields.ts";
import { maxContentTypeLength, maxLabelLength, maxTagLength } from "./limits.ts";
import { memberCommandFields, memberCommandOf, memberCommandTypes } from "./member-command-codec.ts";
import { fileNameOf } from "./row-codec.ts";
import type { Command, Copy, Match, Preconditions, Proposal, ReplicaReport } from "./types.ts";
import { uuidToBytes } from "./uuid-bytes.ts";

const commandTypes: readonly Command["type"][] = [
  "register-client",
  "rotate-secret",
  "deposit",
  "edit",
  "remove",
  "report-replicas",
  "sweep-fence",
  ...memberCommandTypes,
];
const reportTypes: readonly ReplicaReport["type"][] = ["made", "lost", "dropped"];

/**
 * The bytes of a proposal; the same in every retry.
 * @throws {DepositoError} `invalid-request`, when a label or content type is too long or has an unpaired surrogate.
 */
export function encodeProposal({ id, basis, command }: Proposal): Uint8Array {
  return encodeFields([uuidToBytes(id), basis, commandTypes.indexOf(command.type), ...commandFields(command)]);
}

/** @throws {DepositoError} `invalid-request`, when the bytes are not exactly one proposal. */
export function decodeProposal(bytes: Uint8Array): Proposal {
  return decodeFields(bytes, "invalid-request", "a proposal", (fields) => {
    const [id, basis, type, ...rest] = fields;
    return {
      id: uuidOf(id, parseCommandId),
      basis: logIndexOf(basis),
      command: commandOf(choiceOf(type, commandTypes), rest),
    };
  });
}

/** What is wrong with proposals of a peer: an entry that does not decode could never be applied, by any node. */
export function problemOfProposals(proposals: readonly Uint8Array[]): string | undefined {
  try {
    for (const proposal of proposals) decodeProposal(proposal);
    return undefined;
  } catch (error) {
    if (!hasCode(error, "invalid-request")) throw error;
    return error.message;
  }
}

function commandFields(command: Command): Fields {
  switch (command.type) {
    case "register-client":
      checkText(command.label, maxLabelLength);
      return [clientBytes(command), sha256Bytes(command.secretHash), command.label, checkedAt(command.at)];
    case "rotate-secret":
      return [clientBytes(command), sha256Bytes(command.secretHash), checkedAt(command.at)];
    case "deposit":
      checkText(command.contentType, maxContentTypeLength);
      return [
        clientBytes(command),
        command.name,
        command.blobId === undefined ? undefined : uuidToBytes(command.blobId),
        command.sizeBytes,
        sha256Bytes(command.sha256),
        command.contentType,
        command.replicas,
        command.defaultReplicas,
        command.copies.map(({ node, life, staged }) => [node, life, staged]),
        command.ranking,
        preconditionFields(command.preconditions),
        checkedAt(command.at),
      ];
    case "edit":
      checkText(command.contentType, maxContentTypeLength);
      return [
        clientBytes(command),
        command.name,
        command.replicas,
        command.contentType,
        command.ranking,
        preconditionFields(command.preconditions),
        checkedAt(command.at),
      ];
    case "remove":
      return [clientBytes(command), command.name, preconditionFields(command.preconditions), checkedAt(command.at)];
    case "report-replicas":
      return [command.node, command.life, command.reports.map(reportFields)];
    case "sweep-fence":
      return [command.node, command.life, command.upTo];
    case "add-member":
    case "remove-member":
    case "reassign-replicas":
    case "forget-replicas":
    case "forget-member":
      return memberCommandFields(command);
  }
}

function commandOf(type: Command["type"], fields: Fields): Command {
  switch (type) {
    case "register-client": {
      const [clientId, secretHash, label, at] = fieldsOf(fields, 4);
      return {
        type,
        clientId: clientIdOf(clientId),
        secretHash: sha256Of(secretHash),
        label: optionalOf(label, (text) => textOf(text, maxLabelLength)),
        at: wholeOf(at),
      };
    }
    case "rotate-secret": {
      const [clientId, secretHash, at] = fieldsOf(fields, 3);
      return { type, clientId: clientIdOf(clientId), secretHash: sha256Of(secretHash), at: wholeOf(at) };
    }
    case "deposit":
      return depositOf(fields);
    case "edit":
      return editOf(fields);
    case "remove": {
      const [clientId, name, preconditions, at] = fieldsOf(fields, 4);
      return {
        type,
        clientId: clientIdOf(clientId),
        name: fileNameOf(name),
        preconditions: preconditionsOf(preconditions),
        at: wholeOf(at),
      };
    }
    case "report-replicas": {
      const [node, life, reports] = fieldsOf(fields, 3);
      return { type, node: nodeIdOf(node), life: logIndexOf(life), reports: listOf(reports).map(reportOf) };
    }
    case "sweep-fence": {
      const [node, life, upTo] = fieldsOf(fields, 3);
      return { type, node: nodeIdOf(node), life: logIndexOf(life), upTo: stagedOf(upTo) };
    }
    case "add-member":
    case "remove-member":
    case "reassign-replicas":
    case "forget-replicas":
    case "forget-member":
      return memberCommandOf(type, fields);
  }
}

function depositOf(fields: Fields): Command {
  const [clientId, name, blobId, sizeBytes, sha256, contentType, replicas, ...rest] = fieldsOf(fields, 12);
  const [defaultReplicas, copies, ranking, preconditions, at] = rest;
  return {
    type: "deposit",
    clientId: clientIdOf(clientId),
    name: fileNameOf(name),
    blobId: optionalOf(blobId, (bytes) => uuidOf(bytes, parseBlobId)),
    sizeBytes: wholeOf(sizeBytes),
    sha256: sha256Of(sha256),
    contentType: optionalContentTypeOf(contentType),
    replicas: optionalOf<ReplicaCount>(replicas, replicaCountOf),
    defaultReplicas: replicaCountOf(defaultReplicas),
    copies: distinctOf(copies, copyOf, ({ node }) => node),
    ranking: distinctOf(ranking, nodeIdOf, (node) => node),
    preconditions: preconditionsOf(preconditions),
    at: wholeOf(at),
  };
}

function editOf(fields: Fields): Command {
  const [clientId, name, replicas, contentType, ranking, preconditions, at] = fieldsOf(fields, 7);
  return {
    type: "edit",
    clientId: clientIdOf(clientId),
    name: fileNameOf(name),
    replicas: optionalOf<ReplicaCount>(replicas, replicaCountOf),
    contentType: optionalContentTypeOf(contentType),
    ranking: distinctOf(ranking, nodeIdOf, (node) => node),
    preconditions: preconditionsOf(preconditions),
    at: wholeOf(at),
  };
}

function reportFields(report: ReplicaReport): Fields {
  const staged = report.type === "made" ? report.staged : undefined;
  return [reportTypes.indexOf(report.type), uuidToBytes(report.blobId), staged];
}

function reportOf(value: unknown): ReplicaReport {
  const [tag, blob, staged] = fieldsOf(value, 3);
  const type = choiceOf(tag, reportTypes);
  const blobId = uuidOf(blob, parseBlobId);
  if (type === "made") return { type, blobId, staged: stagedOf(staged) };
  fieldsOf(staged === null ? [] : [staged], 0);
  return { type, blobId };
}

function copyOf(value: unknown): Copy {
  const [node, life, staged] = fieldsOf(value, 3);
  return { node: nodeIdOf(node), life: logIndexOf(life), staged: stagedOf(staged) };
}

/** Most commands have no precondition, and then it is one nil. */
function preconditionFields({ ifMatch, ifNoneMatch }: Preconditions): Fields | undefined {
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  return [matchFields(ifMatch), matchFields(ifNoneMatch)];
}

function preconditionsOf(value: unknown): Preconditions {
  if (value === null) return { ifMatch: undefined, ifNoneMatch: undefined };
  const [ifMatch, ifNoneMatch] = fieldsOf(value, 2);
  return { ifMatch: optionalOf(ifMatch, matchOf), ifNoneMatch: optionalOf(ifNoneMatch, matchOf) };
}

/** `any` is `true`, tags are their list. */
function matchFields(match: Match | undefined): unknown {
  if (match === undefined) return undefined;
  return match.type === "any" ? true : match.tags;
}

function matchOf(value: unknown): Match {
  if (value === true) return { type: "any" };
  return { type: "tags", tags: listOf(value).map((tag) => textOf(tag, maxTagLength)) };
}

function optionalContentTypeOf(value: unknown): string | undefined {
  return optionalOf(value, (text) => textOf(text, maxContentTypeLength));
}

function clientIdOf(value: unknown): ClientId {
  return uuidOf(value, parseClientId);
}

function clientBytes({ clientId }: { readonly clientId: ClientId }): Buffer {
  return uuidToBytes(clientId);
}

/** Refused here, where somebody is told: every peer would refuse it too, and the proposal would never be answered. */
function checkText(text: string | undefined, maxLength: number): void {
  if (text === undefined || (text.length <= maxLength && text.isWellFormed())) return;
  throw new DepositoError("invalid-request", `a text has to be valid Unicode of at most ${maxLength} characters`);
}

function checkedAt(at: number): number {
  invariant(Number.isSafeInteger(at) && at >= 0, () => `not milliseconds since 1970: ${at}`);
  return at;
}
