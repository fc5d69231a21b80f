import type { NodeId } from "../../../node/base/ids.ts";
import type { Lots } from "../lots.ts";
import type { Timeline } from "../timeline.ts";

/** How the network of one world behaves besides its faults. */
export interface NetworkHabits {
  /** One way; most messages take about this long, few a hundred times that. */
  readonly typicalDelayMs: number;
  /** How many frames of streams get lost, come twice, or are overtaken. Streams do none of it; consensus bears all. */
  readonly frameLoss: number;
  readonly frameDuplication: number;
  readonly frameReordering: number;
  /** How many pieces of calls break their connection. */
  readonly callBreaks: number;
  /** Whether what meets a cut arrives when it is mended, as TCP has it, or never. */
  readonly cutsHold: boolean;
}

/** Which ways between hosts are open, and how long they take. Each way of a pair is cut by itself. */
export class Links {
  readonly #timeline: Timeline;
  readonly #lots: Lots;
  readonly #habits: NetworkHabits;
  readonly #cuts = new Map<string, number>();
  readonly #slow = new Map<NodeId, number>();
  #stalled: { readonly from: string; readonly to: string; readonly task: () => void }[] = [];

  constructor(timeline: Timeline, lots: Lots, habits: NetworkHabits) {
    this.#timeline = timeline;
    this.#lots = lots;
    this.#habits = habits;
  }

  isOpen(from: string, to: string): boolean {
    return this.#cuts.size === 0 || !this.#cuts.has(`${from} ${to}`);
  }

  isOpenBothWays(one: string, other: string): boolean {
    return this.isOpen(one, other) && this.isOpen(other, one);
  }

  /** Cuts one way; several cuts of one way are mended one by one. */
  cut(from: NodeId, to: NodeId): void {
    const key = `${from} ${to}`;
    this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1);
  }

  mend(from: NodeId, to: NodeId): void {
    const key = `${from} ${to}`;
    const left = (this.#cuts.get(key) ?? 0) - 1;
    if (left > 0) this.#cuts.set(key, left);
    else this.#cuts.delete(key);
    this.#letGo();
  }

  /** Everything from and to the node takes so much longer. */
  slow(node: NodeId, byMs: number): void {
    this.#slow.set(node, byMs);
  }

  hasten(node: NodeId): void {
    this.#slow.delete(node);
  }

  mendAll(): void {
    this.#cuts.clear();
    this.#slow.clear();
    this.#letGo();
  }

  delayMs(from: string, to: string): number {
    const slowMs = (this.#slow.get(from as NodeId) ?? 0) + (this.#slow.get(to as NodeId) ?? 0);
    return slowMs + this.#lots.skewed(this.#habits.typicalDelayMs);
  }

  /** Brings `task` to the other side, not before `notBeforeMs`; through a cut it comes late, or is
   *  `lost`. When it arrives at the earliest. */
  carry(from: string, to: string, task: () => void, notBeforeMs = 0, lost: () => void = () => {}): number {
    const atMs = Math.max(this.#timeline.nowMs + this.delayMs(from, to), notBeforeMs);
    this.#timeline.at(atMs, () => {
      if (this.isOpen(from, to)) task();
      else if (this.#habits.cutsHold) this.#stalled.push({ from, to, task });
      else lost();
    });
    return atMs;
  }

  #letGo(): void {
    const stalled = this.#stalled;
    this.#stalled = [];
    for (const each of stalled) {
      if (this.isOpen(each.from, each.to)) this.#timeline.after(0, each.task);
      else this.#stalled.push(each);
    }
  }
}
