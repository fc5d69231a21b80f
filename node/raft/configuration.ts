import { type NodeId, parseNodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Configuration } from "./types.ts";

const fields = ["voters", "outgoing", "learners", "learnersNext"] as const;

/** A configuration as the bytes of its log entry: JSON in UTF-8, members in the order given. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { voters, outgoing, learners, learnersNext } = configuration;
  return new TextEncoder().encode(JSON.stringify({ voters, outgoing, learners, learnersNext }));
}

/**
 * The inverse; the bytes come from a log whose checksums were verified.
 * @throws {InvariantError} when they are no configuration.
 */
export function decodeConfiguration(data: Uint8Array): Configuration {
  const text = new TextDecoder().decode(data);
  const parsed = JSON.parse(text) as Partial<Record<string, unknown>>;
  const [voters, outgoing, learners, learnersNext] = fields.map((field) => decodeMembers(parsed[field], text));
  invariant(voters !== undefined && voters.length > 0, () => `a configuration without voters: ${text}`);
  invariant(outgoing !== undefined && learners !== undefined && learnersNext !== undefined, () => text);
  return { voters, outgoing, learners, learnersNext };
}

function decodeMembers(value: unknown, text: string): readonly NodeId[] {
  invariant(Array.isArray(value), () => `not a configuration: ${text}`);
  const members = value.map((each) => {
    const id = typeof each === "string" ? parseNodeId(each) : undefined;
    invariant(id !== undefined, () => `not a member: ${String(each)}`);
    return id;
  });
  invariant(new Set(members).size === members.length, () => `a member twice: ${text}`);
  return members;
}

/** Whether `node` is counted in either majority. */
export function isVoter(configuration: Configuration, node: NodeId): boolean {
  return configuration.voters.includes(node) || configuration.outgoing.includes(node);
}

/** Whether two majorities are needed. */
export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

/** Everybody the leader keeps up to date, each once, learners last. */
export function membersOf(configuration: Configuration): readonly NodeId[] {
  const { voters, outgoing, learners, learnersNext } = configuration;
  return [...new Set([...voters, ...outgoing, ...learners, ...learnersNext])];
}

/** Everybody who is counted, each once. */
export function votersOf(configuration: Configuration): readonly NodeId[] {
  return [...new Set([...configuration.voters, ...configuration.outgoing])];
}

/** Whether this node alone is a quorum, so that nobody else's disk vouches for its term. */
export function isAloneQuorum(configuration: Configuration, node: NodeId): boolean {
  return votersOf(configuration).every((voter) => voter === node);
}
