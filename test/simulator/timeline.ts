/** One thing that is due at one moment. */
interface Due {
  readonly atMs: number;
  /** What was scheduled first happens first, among things of one moment. */
  readonly order: number;
  task: (() => void) | undefined;
}

/** Virtual time: a heap of what is due. Nothing happens in between, so an hour lasts as long as what happens in it. */
export class Timeline {
  nowMs = 0;
  readonly #heap: Due[] = [];
  #scheduled = 0;

  /** Calls `task` at `atMs`, or now if that is past; the result calls it off. */
  at(atMs: number, task: () => void): () => void {
    const due: Due = { atMs: Math.max(atMs, this.nowMs), order: this.#scheduled++, task };
    this.#push(due);
    return () => {
      due.task = undefined;
    };
  }

  after(delayMs: number, task: () => void): () => void {
    return this.at(this.nowMs + delayMs, task);
  }

  /** Resolves after `delayMs`. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Moves to the next moment at which something is due, and does that one thing; false when nothing is due any more. */
  step(): boolean {
    for (;;) {
      const due = this.#pop();
      if (due === undefined) return false;
      if (due.task === undefined) continue;
      this.nowMs = due.atMs;
      due.task();
      return true;
    }
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Due;
      if (!isBefore(due, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = due;
  }

  #pop(): Due | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Due, heap[below] as Due)) below += 1;
      const child = heap[below] as Due;
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
