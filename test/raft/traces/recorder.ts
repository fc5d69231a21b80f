import type { LogIndex, NodeId } from "../../../node/base/ids.ts";
import type { Effects, Envelope } from "../../../node/raft/types.ts";
import type { Flying } from "../cluster.ts";
import type { PendingWrite, SimNode } from "../sim-node.ts";
import { sayEntries, sayHardState, sayLeadership, sayMessage, sayOutcome, sayPosition } from "./wording.ts";

/** Writes down in words what the cores do: one line for each effect, in the order in which they come about. */
export class Recorder {
  readonly #nowMs: () => number;
  readonly #lines: string[] = [];
  #saidMs = 0;
  readonly #lastIndexes = new Map<NodeId, LogIndex>();
  readonly #commits = new Map<NodeId, LogIndex>();
  /** Messages that wait for their node's disk, and how many of them were told of. */
  readonly #held = new Map<NodeId, { envelopes: Envelope[]; told: number }>();
  /** The last heartbeat, or answer to one, on each line. */
  readonly #beats = new Map<string, string>();
  /** Whether heartbeats that say nothing new are left out. */
  skipsIdleBeats = false;
  /** What each node wrote and has not synced. */
  readonly #unsynced = new Map<NodeId, string[]>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  say(line: string): void {
    const nowMs = this.#nowMs();
    if (nowMs !== this.#saidMs) this.#lines.push(`(at ${nowMs} ms)`);
    this.#saidMs = nowMs;
    this.#lines.push(line);
  }

  /** The lines since the last call, and which messages still wait for a disk. */
  take(): readonly string[] {
    for (const [id, held] of this.#held) {
      const untold = held.envelopes.slice(held.told).map(({ to, message }) => `${message.type} to ${to}`);
      held.told = held.envelopes.length;
      if (untold.length > 0) this.say(`${id} must sync before it sends: ${untold.join(", ")}`);
    }
    return this.#lines.splice(0);
  }

  started({ id, alive }: SimNode): void {
    this.#commits.set(id, alive.status().commitIndex);
    this.#lastIndexes.set(id, alive.status().last.index);
    this.#held.set(id, { envelopes: [], told: 0 });
    this.#unsynced.set(id, []);
  }

  stepped(node: SimNode, effects: Effects): void {
    const { id } = node;
    if (effects.leadership !== undefined) this.say(`${id} ${sayLeadership(effects.leadership)}`);
    for (const written of this.#writesOf(node, effects)) {
      this.say(`${id} ${written}`);
      this.#unsynced.get(id)?.push(written);
    }
    const { commitIndex } = node.alive.status();
    if (commitIndex > (this.#commits.get(id) ?? 0)) this.say(`${id} commits ${commitIndex}`);
    this.#commits.set(id, commitIndex);
    for (const outcome of sayOutcome(effects)) this.say(`${id} ${outcome}`);
    this.#held.get(id)?.envelopes.push(...effects.messagesAfterSync);
  }

  #writesOf(node: SimNode, { resetLog, hardState, append }: Effects): string[] {
    const before = this.#lastIndexes.get(node.id) ?? 0;
    const first = append[0];
    this.#lastIndexes.set(node.id, node.alive.status().last.index);
    const verb = first !== undefined && first.index <= before ? `replaces from ${first.index} on:` : "writes";
    return [
      ...(resetLog === undefined ? [] : [`begins its log anew after ${sayPosition(resetLog)}`]),
      ...(hardState === undefined ? [] : [`writes ${sayHardState(hardState)}`]),
      ...(first === undefined ? [] : [`${verb} ${sayEntries(append)}`]),
    ];
  }

  synced({ id }: SimNode, { resetLog, hardState, append }: PendingWrite): void {
    const count = [resetLog, hardState, append[0]].filter((written) => written !== undefined).length;
    if (count > 0) this.say(`${id} syncs`);
    this.#unsynced.get(id)?.splice(0, count);
  }

  left({ from, to, message }: Flying, why: "" | " (lost)"): void {
    const held = this.#held.get(from);
    const place = held?.envelopes.findIndex((envelope) => envelope.message === message && envelope.to === to) ?? -1;
    if (held !== undefined && place >= 0) {
      held.envelopes.splice(place, 1);
      held.told = Math.max(0, held.told - 1);
    }
    const line = `${from} -> ${to} ${sayMessage(message)}${why}`;
    if (!this.#isIdleBeat(`${from} ${to}`, message.type, line)) this.say(line);
  }

  #isIdleBeat(key: string, type: string, line: string): boolean {
    if (!type.startsWith("heartbeat-")) return false;
    const isRepeated = this.#beats.get(key) === line;
    this.#beats.set(key, line);
    return isRepeated && this.skipsIdleBeats;
  }

  crashed(id: NodeId): void {
    const lost = this.#unsynced.get(id) ?? [];
    this.say(`${id} stops${lost.length === 0 ? "" : `; not synced, so lost: ${lost.join("; ")}`}`);
    this.#held.delete(id);
    this.#unsynced.delete(id);
  }
}
