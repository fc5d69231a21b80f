import assert from "node:assert/strict";
import { type LogIndex, logIndex, type NodeId, type Term, term } from "../../node/base/ids.ts";
import { encodeConfiguration } from "../../node/raft/configuration.ts";
import { Raft } from "../../node/raft/raft.ts";
import type {
  Configuration,
  Effects,
  Entry,
  EntryKind,
  Input,
  LogPosition,
  RaftMessage,
  RaftOptions,
} from "../../node/raft/types.ts";

export const electionTimeoutMs = 500;
export const heartbeatMs = 50;

export type MessageOf<Type extends RaftMessage["type"]> = Extract<RaftMessage, { type: Type }>;

/** The node ids n1 … n9 of the tests. */
export function node(number: number): NodeId {
  return `n${number}` as NodeId;
}
export const [n1, n2, n3, n4, n5] = [node(1), node(2), node(3), node(4), node(5)];

export function at(index: number, ofTerm: number): LogPosition {
  return { index: logIndex(index), term: term(ofTerm) };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function entry(index: number, ofTerm: number, text = `${index}@${ofTerm}`, kind: EntryKind = "command"): Entry {
  return { ...at(index, ofTerm), kind, data: bytes(text) };
}

/** A log from `first` on, one entry for each of `terms`. */
export function entriesOf(terms: readonly number[], first = 1): Entry[] {
  return terms.map((each, offset) => entry(first + offset, each));
}

export function runsOf(entries: readonly Entry[]): LogPosition[] {
  return entries
    .filter((each, place) => each.term !== entries[place - 1]?.term)
    .map(({ index, term }) => ({ index, term }));
}

export function configurationOf(parts: Partial<Configuration>): Configuration {
  return { voters: [], outgoing: [], learners: [], learnersNext: [], ...parts };
}

/** The log entry of a configuration. */
export function configurationEntry(index: number, ofTerm: number, parts: Partial<Configuration>): Entry {
  return { ...at(index, ofTerm), kind: "configuration", data: encodeConfiguration(configurationOf(parts)) };
}

/** Deterministic chance (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export type Setup = Partial<RaftOptions> & { readonly terms?: readonly number[]; readonly term?: number };

/** Options for one node of n1, n2, n3 with a log of `terms` from index 1 on; nothing of it is applied. */
export function optionsOf({ terms = [], term: ofTerm, ...rest }: Setup = {}): RaftOptions {
  const entries = rest.entries ?? entriesOf(terms);
  return {
    id: n1,
    hardState: { term: term(ofTerm ?? terms.at(-1) ?? 0), votedFor: undefined },
    configuration: configurationOf({ voters: [n1, n2, n3] }),
    logBase: at(0, 0),
    termRuns: runsOf(entries),
    entries,
    lastIndex: logIndex(entries.length),
    applied: logIndex(0),
    lostPromises: false,
    promisedIndex: undefined,
    electionTimeoutMs,
    heartbeatMs,
    maxAppendBytes: 1 << 16,
    maxInflightAppends: 8,
    maxUncommittedBytes: 1 << 20,
    maxCachedBytes: 1 << 20,
    random: seeded(1),
    ...rest,
  };
}

/** One core alone, on a clock of its own; every append is reported as synced at once unless `sync` is false. */
export class Solo {
  readonly core: Raft;
  readonly id: NodeId;
  nowMs = 1000;
  sync = true;
  /** All effects since the start. */
  readonly seen: Effects[] = [];

  constructor(setup: Setup = {}) {
    const options = optionsOf(setup);
    this.core = new Raft(options);
    this.id = options.id;
    this.step({ type: "applied", index: options.applied });
  }

  /** The effects of the input; those of the syncs that follow are merged into them. */
  step(input: Input): Effects {
    const effects = this.core.step(this.nowMs, input);
    this.seen.push(effects);
    const last = effects.append.at(-1);
    if (!this.sync || last === undefined) return effects;
    const synced = this.step({ type: "log-persisted", last: { index: last.index, term: last.term } });
    return {
      ...effects,
      messages: [...effects.messages, ...synced.messages],
      messagesAfterSync: [...effects.messagesAfterSync, ...synced.messagesAfterSync],
      committed: [...effects.committed, ...synced.committed],
    };
  }

  receive(from: NodeId, message: RaftMessage): Effects {
    return this.step({ type: "message", from, message });
  }

  propose(...texts: string[]): Effects {
    return this.step({ type: "propose", commands: texts.map(bytes) });
  }

  /** Lets time pass up to the next deadline, and ticks. */
  tick(): Effects {
    this.nowMs = Math.max(this.nowMs, this.core.deadlineMs);
    return this.step({ type: "tick" });
  }

  passMs(ms: number): void {
    this.nowMs += ms;
  }

  /** Lets the election timeout pass: the node asks for pre-votes. */
  campaign(): Effects {
    return this.tick();
  }

  /** Makes this node the leader of the next term by the votes of `voters`, and commits nothing yet. */
  lead(...voters: NodeId[]): Effects {
    this.campaign();
    const next = term(this.core.status().term + 1);
    for (const voter of voters) this.receive(voter, { type: "pre-vote-response", term: next, granted: true });
    let effects: Effects | undefined;
    for (const voter of voters) {
      const answered = this.receive(voter, { type: "vote-response", term: next, granted: true });
      if (answered.leadership?.role === "leader") effects = answered;
    }
    assert.equal(this.core.status().role, "leader");
    assert.ok(effects !== undefined);
    return effects;
  }

  /** `from` answers that it holds everything up to `index`. */
  match(from: NodeId, index: number): Effects {
    const matchIndex: LogIndex = logIndex(index);
    return this.receive(from, { type: "append-response", term: this.term, result: { type: "matched", matchIndex } });
  }

  get term(): Term {
    return this.core.status().term;
  }
}

/** All messages of one kind in the effects, to one node if given. */
export function messagesOf<Type extends RaftMessage["type"]>(
  effects: Pick<Effects, "messages" | "messagesAfterSync">,
  type: Type,
  to?: NodeId,
): MessageOf<Type>[] {
  return [...effects.messages, ...effects.messagesAfterSync]
    .filter((envelope) => to === undefined || envelope.to === to)
    .map(({ message }) => message)
    .filter((message): message is MessageOf<Type> => message.type === type);
}

/** The one element there must be. */
export function only<T>(elements: readonly T[]): T {
  assert.equal(elements.length, 1, `exactly one expected: ${JSON.stringify(elements)}`);
  return elements[0] as T;
}

export function appendRequest(parts: {
  readonly term: number;
  readonly previous?: LogPosition;
  readonly entries?: readonly Entry[];
  readonly commit?: number;
}): MessageOf<"append-request"> {
  const { previous = at(0, 0), entries = [], commit = 0 } = parts;
  return { type: "append-request", term: term(parts.term), previous, entries, commitIndex: logIndex(commit) };
}

export function voteRequest(parts: {
  readonly term: number;
  readonly last: LogPosition;
  readonly transfer?: boolean;
}): MessageOf<"vote-request"> {
  return { type: "vote-request", term: term(parts.term), last: parts.last, transfer: parts.transfer ?? false };
}

export function heartbeat(parts: {
  readonly term: number;
  readonly commit?: number;
  readonly round?: number;
}): MessageOf<"heartbeat-request"> {
  const { commit = 0, round = 0 } = parts;
  return { type: "heartbeat-request", term: term(parts.term), commitIndex: logIndex(commit), round };
}
