import type { LogIndex, NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Effects, Entry, Envelope, HardState, Leadership, LogPosition, RaftMessage } from "./types.ts";

/** Gathers what one step asks of the driver. */
export class EffectsDraft {
  readonly #append: Entry[] = [];
  readonly #messages: Envelope[] = [];
  readonly #messagesAfterSync: Envelope[] = [];
  readonly #confirmedReads: { readonly position: number; readonly readIndex: LogIndex }[] = [];
  readonly #refusedReads: number[] = [];
  readonly #loads: { readonly to: NodeId; readonly from: LogIndex; readonly maxBytes: number }[] = [];
  refusedProposals: Effects["refusedProposals"];
  refusedMembership: Effects["refusedMembership"];
  snapshotNeeded: Effects["snapshotNeeded"];
  resetLog: LogPosition | undefined;

  append(entries: readonly Entry[]): void {
    const [last, first] = [this.#append.at(-1), entries[0]];
    if (last !== undefined && first !== undefined)
      invariant(first.index === last.index + 1, () => `${first.index} appended after ${last.index} in one step`);
    for (const entry of entries) this.#append.push(entry);
  }

  /** A message that promises nothing about this node's disk. */
  send(to: NodeId, message: RaftMessage): void {
    this.#messages.push({ to, message });
  }

  /** A message that leaves only after everything this and all earlier steps wrote is synced. */
  sendAfterSync(to: NodeId, message: RaftMessage): void {
    this.#messagesAfterSync.push({ to, message });
  }

  confirmRead(position: number, readIndex: LogIndex): void {
    this.#confirmedReads.push({ position, readIndex });
  }

  refuseRead(position: number): void {
    this.#refusedReads.push(position);
  }

  load(to: NodeId, from: LogIndex, maxBytes: number): void {
    this.#loads.push({ to, from, maxBytes });
  }

  /** The finished record; the draft is used for one step only. */
  finish(rest: {
    readonly hardState: HardState | undefined;
    readonly committed: readonly Entry[];
    readonly leadership: Leadership | undefined;
  }): Effects {
    return {
      ...rest,
      append: this.#append,
      messages: this.#messages,
      messagesAfterSync: this.#messagesAfterSync,
      confirmedReads: this.#confirmedReads,
      refusedReads: this.#refusedReads,
      refusedProposals: this.refusedProposals,
      refusedMembership: this.refusedMembership,
      loads: this.#loads,
      snapshotNeeded: this.snapshotNeeded,
      resetLog: this.resetLog,
    };
  }
}
