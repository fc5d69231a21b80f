import { logIndex, type NodeId, type Term, term } from "../../../node/base/ids.ts";
import type { ConsensusCore, Effects, Entry, Envelope, Input, RaftStatus } from "../../../node/raft/types.ts";

export const noEffects: Effects = {
  hardState: undefined,
  append: [],
  messages: [],
  messagesAfterSync: [],
  committed: [],
  confirmedReads: [],
  refusedReads: [],
  refusedProposals: undefined,
  refusedMembership: undefined,
  loads: [],
  snapshotNeeded: undefined,
  leadership: undefined,
  resetLog: undefined,
};

export const tick: Input = { type: "tick" };

/** A core that answers each step with the next of `script`, then with nothing. */
export class ScriptedCore implements ConsensusCore {
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly script: (Partial<Effects> | Error)[] = [];
  readonly inputs: Input[] = [];
  onStep: (input: Input) => void = () => undefined;

  step(_nowMs: number, input: Input): Effects {
    this.inputs.push(input);
    this.onStep(input);
    const next = this.script.shift();
    if (next instanceof Error) throw next;
    return { ...noEffects, ...next };
  }

  status(): RaftStatus {
    throw new Error("not part of these tests");
  }
}

/** An envelope that a test recognises by its term. */
export function envelope(number: number): Envelope {
  return {
    to: "n2" as NodeId,
    message: { type: "vote-response", term: term(number), granted: true },
  };
}

export function numbersOf(envelopes: readonly Envelope[]): readonly Term[] {
  return envelopes.map(({ message }) => message.term);
}

export function entry(index: number, ofTerm = 1, data: Uint8Array = new Uint8Array()): Entry {
  return { index: logIndex(index), term: term(ofTerm), kind: "command", data };
}
