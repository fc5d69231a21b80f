import { type LogIndex, type NodeId, parseNodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Configuration, Entry } from "./types.ts";

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

interface Adopted {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/**
 * The configurations that stand in the log. The newest one counts from the moment it is appended, committed or not,
 * and is rolled back when its entry is truncated (dissertation §4.1).
 */
export class ConfigurationHistory {
  #adopted: Adopted[];

  constructor(index: LogIndex, configuration: Configuration) {
    this.#adopted = [{ index, configuration }];
  }

  get current(): Configuration {
    return this.#newest.configuration;
  }

  /** Where the current configuration stands in the log. */
  get currentIndex(): LogIndex {
    return this.#newest.index;
  }

  get #newest(): Adopted {
    const newest = this.#adopted.at(-1);
    invariant(newest !== undefined, () => "no configuration is left");
    return newest;
  }

  /** Takes in the configurations among appended entries. */
  adopt(entries: readonly Entry[]): void {
    for (const { kind, index, data } of entries) {
      if (kind !== "configuration") continue;
      invariant(index > this.currentIndex, () => `configuration at ${index} after ${this.currentIndex}`);
      this.#adopted.push({ index, configuration: decodeConfiguration(data) });
    }
  }

  /** Entries from `index` on are gone from the log. */
  truncateFrom(index: LogIndex): void {
    this.#adopted = this.#adopted.filter((each) => each.index < index);
    invariant(this.#adopted.length > 0, () => `the last configuration was truncated at ${index}`);
  }

  /** Entries up to `index` are committed and never rolled back: older configurations are not needed any more. */
  settleThrough(index: LogIndex): void {
    const kept = this.#adopted.findLastIndex((each) => each.index <= index);
    if (kept > 0) this.#adopted.splice(0, kept);
  }

  /** A snapshot took the place of the log. */
  reset(index: LogIndex, configuration: Configuration): void {
    this.#adopted = [{ index, configuration }];
  }
}
