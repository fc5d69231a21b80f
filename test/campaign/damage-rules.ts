import type { UnaskedEnd } from "./grips.ts";

const afterFullDiskMs = 5000;
const bugText = /InvariantError|TypeError|ReferenceError|RangeError|SyntaxError|AssertionError/;

/**
 * What keeps the promises promisable: damage never takes a majority of the copies of anything.
 *
 *   log, catalog   bits are flipped only on the same minority of the founding voters, for the whole life of a cluster: damage
 *                  may sleep in a table until it is read, so no other node may be struck in the meantime either. An entry
 *                  that a majority synced keeps at least one intact copy, and the struck node may not vote before it has it.
 *   replicas       one replica of a file is struck only while another one lies intact on another disk, only of files with
 *                  two or more that nobody changes, and never two of a file before an audit saw the first replaced.
 *   full disk      one node of each cluster has a disk that can be filled; another one than those above.
 *   membership     the nodes above always take part, and there are never fewer than at the beginning.
 *
 * All other faults take nothing away, and may strike whatever is there, all nodes at once included.
 */
export class DamageRules {
  /** The nodes whose log and catalog may be struck. */
  readonly victims: readonly string[];
  readonly #struck = new Set<string>();
  /** Nodes that may end by themselves, and until when. */
  readonly #mayEndUntilMs = new Map<string, number>();

  /** `founders`: the voters at the beginning. */
  constructor(founders: readonly string[]) {
    this.victims = founders.slice(Math.floor(founders.length / 2) + 1);
  }

  /** Whether a replica of these bytes was struck since the last audit. */
  isStruck(sha256: string): boolean {
    return this.#struck.has(sha256);
  }

  strike(sha256: string): void {
    this.#struck.add(sha256);
  }

  /** An audit saw every replica intact. */
  audited(): void {
    this.#struck.clear();
  }

  diskFull(id: string): void {
    this.#mayEndUntilMs.set(id, Number.POSITIVE_INFINITY);
  }

  diskFreed(id: string): void {
    this.#mayEndUntilMs.set(id, performance.now() + afterFullDiskMs);
  }

  /** Whether a node may end like this by itself: for want of space, or because its damage came to light, never by a bug. */
  allows({ member, text }: UnaskedEnd): boolean {
    if (bugText.test(text)) return false;
    if (this.victims.includes(member.id)) return true;
    return performance.now() < (this.#mayEndUntilMs.get(member.id) ?? 0);
  }
}
