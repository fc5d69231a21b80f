import type { Chance } from "../base/chance.ts";
import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import { type CommandId, type LogIndex, newCommandId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { encodeProposal } from "../catalog/codec.ts";
import type { Command, Outcome } from "../catalog/types.ts";
import type { QueueDepth } from "./queue-depth.ts";

export interface ProposerOptions {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly timeoutMs: number;
  /** Beyond this many bytes of unanswered proposals, no more are taken. */
  readonly maxPendingBytes: number;
  readonly applied: () => LogIndex;
  /** Brings encoded proposals, of `maxSubmitBytes` at most or a single one, to the leader, wherever it is; may lose them. */
  readonly submit: (proposals: readonly Uint8Array[]) => void;
  /** False only to measure what batching brings. */
  readonly batching: boolean;
}

interface Pending {
  readonly command: Command;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: Error) => void;
  readonly cancelDeadline: () => void;
  id: CommandId;
  bytes: Uint8Array;
  /** When it is submitted again, and how long it waits the time after. */
  dueMs: number;
  waitMs: number;
}

/**
 * Without a word of it, a proposal is submitted again after this, then after twice as long, and so on: a log that is
 * slow must not be given ever more copies to write.
 */
const resubmitMs = 1000;
/** Well below what one frame between nodes may hold. */
const maxSubmitBytes = 1 << 20;
/** What a pending proposal costs besides its bytes; a fair guess. */
const overheadBytes = 1024;

/**
 * The door's side of the log: proposes commands exactly once and answers from this node's own apply.
 *
 * A proposal may be lost on the way or reach several leaders; it is submitted until its id is seen among the applied
 * entries. The catalog's window of recent ids makes the copies harmless.
 */
export class Proposer {
  readonly #options: ProposerOptions;
  readonly #pending = new Map<CommandId, Pending>();
  #pendingBytes = 0;
  #gathered: Uint8Array[] = [];
  #cancelResubmit: (() => void) | undefined;
  #stopped = false;

  constructor(options: ProposerOptions) {
    this.#options = options;
  }

  /** The proposals that wait for their outcome. */
  get pending(): QueueDepth {
    return { count: this.#pending.size, sizeBytes: this.#pendingBytes };
  }

  /**
   * @throws {DepositoError} `no-quorum` after the timeout: the command may still happen, or never; `too-many-requests`
   *   when too much waits already: it never happens.
   */
  propose(command: Command): Promise<Outcome> {
    const { clock, timeoutMs, applied, maxPendingBytes } = this.#options;
    if (this.#stopped) return Promise.reject(new DepositoError("no-quorum", "this node is stopping; ask another node"));
    if (this.#pendingBytes >= maxPendingBytes)
      return Promise.reject(
        new DepositoError("too-many-requests", `${this.#pending.size} changes wait for a majority already`),
      );
    return new Promise((resolve, reject) => {
      const id = newCommandId(this.#options.chance);
      const pending: Pending = {
        command,
        id,
        bytes: encodeProposal({ id, basis: applied(), command }),
        resolve,
        reject,
        cancelDeadline: clock.after(timeoutMs, () => this.#giveUp(pending)),
        dueMs: clock.monotonicMs() + resubmitMs,
        waitMs: resubmitMs,
      };
      this.#add(pending);
    });
  }

  /** This node has applied the command. */
  applied(id: CommandId, outcome: Outcome): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#remove(pending);
    if (outcome.type === "refused" && outcome.code === "expired") {
      // This node applies every entry in order, so an earlier copy would have been seen here: this one never happened.
      pending.id = newCommandId(this.#options.chance);
      pending.bytes = encodeProposal({ id: pending.id, basis: this.#options.applied(), command: pending.command });
      this.#add(pending);
    } else {
      pending.cancelDeadline();
      pending.resolve(outcome);
    }
  }

  /**
   * A snapshot took the place of entries, so outcomes may have gone by unseen: whatever `outcomeOf` knows is answered,
   * and the rest can no longer be told apart from what expired.
   */
  entriesSkipped(outcomeOf: (id: CommandId) => Outcome | undefined): void {
    for (const pending of this.#pending.values()) {
      const outcome = outcomeOf(pending.id);
      this.#remove(pending);
      pending.cancelDeadline();
      if (outcome === undefined) pending.reject(unanswered("this node was installed anew from a peer"));
      else pending.resolve(outcome);
    }
  }

  /** A leader has become known: everything unanswered goes to it at once. */
  resubmit(): void {
    const all = [...this.#pending.values()];
    for (const pending of all) this.#wait(pending, resubmitMs);
    this.#submit(all.map(({ bytes }) => bytes));
  }

  /** Gives up all that waits, and refuses whatever comes. */
  stop(): void {
    this.#stopped = true;
    this.#cancelResubmit?.();
    for (const pending of this.#pending.values()) this.#giveUp(pending, "this node is stopping");
  }

  #add(pending: Pending): void {
    const { bytes } = pending;
    invariant(bytes.length <= maxSubmitBytes, () => `a ${pending.command.type} proposal of ${bytes.length} bytes`);
    this.#pending.set(pending.id, pending);
    this.#pendingBytes += bytes.length + overheadBytes;
    this.#gather(bytes);
    this.#cancelResubmit ??= this.#options.clock.after(resubmitMs, () => this.#resubmitDue());
  }

  #remove({ id, bytes }: Pending): void {
    this.#pending.delete(id);
    this.#pendingBytes -= bytes.length + overheadBytes;
  }

  #gather(bytes: Uint8Array): void {
    if (!this.#options.batching) {
      this.#options.submit([bytes]);
      return;
    }
    this.#gathered.push(bytes);
    if (this.#gathered.length > 1) return;
    this.#options.clock.soon(() => {
      const proposals = this.#gathered;
      this.#gathered = [];
      if (!this.#stopped) this.#submit(proposals);
    });
  }

  #resubmitDue(): void {
    const { clock } = this.#options;
    this.#cancelResubmit = undefined;
    if (this.#pending.size === 0) return;
    const nowMs = clock.monotonicMs();
    const due = [...this.#pending.values()].filter(({ dueMs }) => dueMs <= nowMs);
    for (const pending of due) this.#wait(pending, 2 * pending.waitMs);
    this.#submit(due.map(({ bytes }) => bytes));
    this.#cancelResubmit = clock.after(resubmitMs, () => this.#resubmitDue());
  }

  #wait(pending: Pending, waitMs: number): void {
    pending.waitMs = waitMs;
    pending.dueMs = this.#options.clock.monotonicMs() + waitMs;
  }

  /** Many at a time, but never more bytes than travel in one frame. */
  #submit(proposals: readonly Uint8Array[]): void {
    let part: Uint8Array[] = [];
    let partBytes = 0;
    for (const bytes of proposals) {
      if (part.length > 0 && (partBytes + bytes.length > maxSubmitBytes || !this.#options.batching)) {
        this.#options.submit(part);
        part = [];
        partBytes = 0;
      }
      part.push(bytes);
      partBytes += bytes.length;
    }
    if (part.length > 0) this.#options.submit(part);
  }

  #giveUp(pending: Pending, why = `no majority of voters answered within ${this.#options.timeoutMs} ms`): void {
    this.#remove(pending);
    pending.cancelDeadline();
    pending.reject(unanswered(why));
  }
}

function unanswered(why: string): DepositoError {
  return new DepositoError("no-quorum", `${why}; it may have happened or not: ask again, a repeated request is safe`);
}
