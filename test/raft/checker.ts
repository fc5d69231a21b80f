import assert from "node:assert/strict";
import type { LogIndex, NodeId, Term } from "../../node/base/ids.ts";
import type { Effects, Entry, Input } from "../../node/raft/types.ts";
import type { Flying } from "./cluster.ts";
import type { SimNode } from "./sim-node.ts";

/** What must hold after every step, whatever happens to the group (Raft figure 3, and this core's promises). */
export class Checker {
  readonly #leaders = new Map<Term, NodeId>();
  readonly #votes = new Map<string, NodeId>();
  /** Every entry that any node was ever told is committed. */
  readonly committed = new Map<number, Entry>();
  #highestCommitted = 0;
  readonly #terms = new Map<NodeId, Term>();
  readonly #commits = new Map<NodeId, LogIndex>();
  readonly #reads = new Map<string, number>();
  /** Entries a leader has in the current term; they only grow. */
  readonly #leaderLogs = new Map<NodeId, { readonly term: Term; readonly entries: readonly Entry[] }>();
  confirmedReads = 0;
  elections = 0;

  get highestCommitted(): number {
    return this.#highestCommitted;
  }

  stepped(node: SimNode, input: Input, effects: Effects): void {
    const status = node.alive.status();
    if (input.type === "read") this.#reads.set(`${node.id} ${input.position}`, this.#highestCommitted);
    this.#checkTerm(node);
    this.#checkCommitted(node, effects);
    if (status.role === "leader") this.#checkLeader(node);
    else this.#leaderLogs.delete(node.id);
    this.#highestCommitted = Math.max(this.#highestCommitted, status.commitIndex);
    for (const { position, readIndex } of effects.confirmedReads) {
      const floor = this.#reads.get(`${node.id} ${position}`);
      assert.ok(floor !== undefined, `read ${position} of ${node.id} was never asked`);
      assert.ok(readIndex >= floor, `Linearizable: read at ${readIndex}, ${floor} was committed before it was asked`);
      this.confirmedReads += 1;
    }
  }

  crashed(node: NodeId): void {
    this.#terms.delete(node);
    this.#commits.delete(node);
    this.#leaderLogs.delete(node);
  }

  /** A message left its node: whatever it promises is promised now. */
  sent({ from, to, message }: Flying): void {
    if (message.type !== "vote-response" || !message.granted) return;
    const key = `${from} ${message.term}`;
    const before = this.#votes.get(key) ?? to;
    assert.equal(before, to, `${from} votes for ${before} and ${to} in term ${message.term}`);
    this.#votes.set(key, to);
  }

  #checkTerm(node: SimNode): void {
    const { term } = node.alive.status();
    const before = Math.max(this.#terms.get(node.id) ?? 0, node.disk.hardState.term);
    assert.ok(term >= before, `the term of ${node.id} went back from ${before} to ${term}`);
    this.#terms.set(node.id, term);
  }

  #checkCommitted(node: SimNode, effects: Effects): void {
    const { commitIndex, applied } = node.alive.status();
    assert.ok(commitIndex >= (this.#commits.get(node.id) ?? 0), `the commit index of ${node.id} went back`);
    this.#commits.set(node.id, commitIndex);
    let expected = applied + 1;
    for (const each of effects.committed) {
      assert.ok(each.index >= expected, `${node.id} is handed ${each.index}, ${expected} expected`);
      expected = each.index + 1;
      assert.equal(node.diskTermAt(each.index), each.term, `${node.id} applies ${each.index} before it is synced`);
      const known = this.committed.get(each.index);
      if (known === undefined) this.committed.set(each.index, each);
      else assert.ok(isSame(known, each), `StateMachineSafety: two entries at ${each.index}`);
    }
  }

  #checkLeader(node: SimNode): void {
    const { term } = node.alive.status();
    const leader = this.#leaders.get(term) ?? node.id;
    assert.equal(leader, node.id, `ElectionSafety: ${leader} and ${node.id} lead term ${term}`);
    if (!this.#leaders.has(term)) {
      this.elections += 1;
      this.#leaders.set(term, node.id);
      for (const [index, entry] of this.committed) {
        if (index <= node.memoryBase.index) continue;
        const held = node.memory[index - node.memoryBase.index - 1];
        assert.ok(held !== undefined && isSame(held, entry), `LeaderCompleteness: ${node.id} leads without ${index}`);
      }
    }
    const before = this.#leaderLogs.get(node.id);
    if (before?.term === term) {
      const last = before.entries.at(-1);
      const held = last && node.memory[last.index - node.memoryBase.index - 1];
      const isKept = last === undefined || last.index <= node.memoryBase.index || (held && isSame(held, last));
      assert.ok(isKept, `LeaderAppendOnly: ${node.id} rewrote its log`);
    }
    this.#leaderLogs.set(node.id, { term, entries: node.memory });
  }

  /** LogMatching: where two logs have an entry of one term, they are equal up to there. */
  checkLogs(nodes: readonly SimNode[]): void {
    for (const [place, one] of nodes.entries())
      for (const other of nodes.slice(place + 1)) {
        let mustMatch = false;
        const last = Math.min(one.memory.at(-1)?.index ?? 0, other.memory.at(-1)?.index ?? 0);
        for (let index = last; index > Math.max(one.memoryBase.index, other.memoryBase.index); index -= 1) {
          const a = one.memory[index - one.memoryBase.index - 1];
          const b = other.memory[index - other.memoryBase.index - 1];
          if (a === undefined || b === undefined) continue;
          mustMatch ||= a.term === b.term;
          if (mustMatch) assert.ok(isSame(a, b), `LogMatching: ${one.id} and ${other.id} differ at ${index}`);
        }
      }
  }
}

function isSame(a: Entry, b: Entry): boolean {
  return a.index === b.index && a.term === b.term && a.kind === b.kind && Buffer.compare(a.data, b.data) === 0;
}
