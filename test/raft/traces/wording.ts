import { decodeConfiguration } from "../../../node/raft/configuration.ts";
import type {
  Configuration,
  Effects,
  Entry,
  HardState,
  Leadership,
  LogPosition,
  RaftMessage,
} from "../../../node/raft/types.ts";

/** `3@2`: the entry at index 3, of term 2. */
export function sayPosition({ index, term }: LogPosition): string {
  return `${index}@${term}`;
}

export function sayConfiguration(configuration: Configuration): string {
  const { voters, outgoing, learners, learnersNext } = configuration;
  return Object.entries({ voters, outgoing, learners, learnersNext })
    .filter(([, nodes]) => nodes.length > 0)
    .map(([name, nodes]) => `${name} ${nodes.join(" ")}`)
    .join(", ");
}

function sayEntry(entry: Entry): string {
  const position = sayPosition(entry);
  switch (entry.kind) {
    case "noop":
      return `${position} noop`;
    case "configuration":
      return `${position} (${sayConfiguration(decodeConfiguration(entry.data))})`;
    case "command":
      return sayCommand(position, new TextDecoder().decode(entry.data));
  }
}

/** Entries of logs that a trace begins with are their own position, and need no second word. */
function sayCommand(position: string, text: string): string {
  if (text === position) return position;
  return text.length > 24 ? `${position} <${text.length} bytes>` : `${position} "${text}"`;
}

export function sayEntries(entries: readonly Entry[]): string {
  const said = entries.map(sayEntry);
  if (said.length <= 5) return said.join(", ");
  return `${said[0]} … ${said.at(-1)} (${said.length} entries)`;
}

export function sayHardState({ term, votedFor }: HardState): string {
  return `term ${term}, ${votedFor === undefined ? "no vote" : `vote ${votedFor}`}`;
}

export function sayLeadership({ role, term, leader }: Leadership): string {
  switch (role) {
    case "leader":
      return `leads term ${term}`;
    case "follower":
      return `follows ${leader ?? "nobody"} in term ${term}`;
    case "pre-candidate":
    case "candidate":
      return `is a ${role} in term ${term}`;
  }
}

export function sayMessage(message: RaftMessage): string {
  const said = sayBody(message);
  return `${message.type} term ${message.term}${said === "" ? "" : `, ${said}`}`;
}

function sayBody(message: RaftMessage): string {
  switch (message.type) {
    case "pre-vote-request":
      return `log to ${sayPosition(message.last)}`;
    case "vote-request":
      return `log to ${sayPosition(message.last)}${message.transfer ? ", leadership handed over" : ""}`;
    case "pre-vote-response":
    case "vote-response":
      return message.granted ? "granted" : "refused";
    case "append-request": {
      const { previous, entries, commitIndex } = message;
      return `after ${sayPosition(previous)} [${sayEntries(entries)}], commit ${commitIndex}`;
    }
    case "append-response":
      return sayResult(message.result);
    case "heartbeat-request":
      return `commit ${message.commitIndex}, round ${message.round}`;
    case "heartbeat-response":
      return `round ${message.round}`;
    case "install-snapshot-request":
      return `pull one of ${sayPosition(message.snapshot)} or newer`;
    case "read-index-request":
      return `read ${message.position}`;
    case "read-index-response":
      return `read ${message.position} ${message.readIndex === undefined ? "refused" : `at ${message.readIndex}`}`;
    case "timeout-now":
      return "";
    case "transfer-request":
      return `to ${message.to ?? "whoever is furthest"}`;
  }
}

function sayResult(result: Extract<RaftMessage, { type: "append-response" }>["result"]): string {
  switch (result.type) {
    case "matched":
      return `matched ${result.matchIndex}`;
    case "rejected":
      return `rejected after ${result.previousIndex}, perhaps after ${sayPosition(result.hint)}`;
  }
}

/** What the step gave back to its own node: everything but writes and messages. */
export function sayOutcome(effects: Effects): string[] {
  const { committed, confirmedReads, refusedReads, refusedProposals, refusedMembership, loads, snapshotNeeded } =
    effects;
  return [
    ...(committed.length > 0 ? [`applies ${sayEntries(committed)}`] : []),
    ...confirmedReads.map(({ position, readIndex }) => `answers read ${position} once ${readIndex} is applied`),
    ...refusedReads.map((position) => `refuses read ${position}`),
    ...(refusedProposals === undefined ? [] : [`refuses the proposal: ${refusedProposals}`]),
    ...(refusedMembership === undefined ? [] : [`refuses the change: ${refusedMembership}`]),
    ...loads.map(({ to, from }) => `loads entries from ${from} on for ${to}`),
    ...(snapshotNeeded === undefined
      ? []
      : [`needs a snapshot of ${sayPosition(snapshotNeeded.position)}, from ${snapshotNeeded.from}`]),
  ];
}
