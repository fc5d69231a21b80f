import assert from "node:assert/strict";
import type { LogIndex, NodeId, Term } from "../../node/base/ids.ts";
import type { ConsensusCore, Effects, Entry, Input } from "../../node/raft/types.ts";
import type { Flying } from "./cluster.ts";
import { assertQuorum, configurationBefore } from "./quorum-checks.ts";
import type { SimNode } from "./sim-node.ts";

/** What one life of a core has shown so far; a restart begins anew. */
interface Life {
  term: Term | undefined;
  commitIndex: LogIndex | undefined;
  /** What it had when it last led: within one term that only grows. */
  led: { readonly term: Term; readonly entries: readonly Entry[] } | undefined;
}

/** What must hold after every step, whatever happens to the group (Raft figure 3, and this core's promises). */
export class Checker {
  readonly #leaders = new Map<Term, NodeId>();
  readonly #votes = new Map<string, NodeId>();
  /** Every entry that any node ever took for committed, and the first term in which one did. */
  readonly #committed = new Map<number, { readonly entry: Entry; readonly term: Term }>();
  #highestCommitted = 0;
  readonly #lives = new WeakMap<ConsensusCore, Life>();
  readonly #reads = new Map<string, number>();
  /** All nodes, where quorums are to be checked against their disks. */
  nodes: ReadonlyMap<NodeId, SimNode> | undefined;
  confirmedReads = 0;
  elections = 0;
  changes = 0;

  get highestCommitted(): number {
    return this.#highestCommitted;
  }

  stepped(node: SimNode, input: Input, effects: Effects): void {
    const { role } = node.alive.status();
    const life = this.#lifeOf(node.alive);
    if (input.type === "read") this.#reads.set(`${node.id} ${input.position}`, this.#highestCommitted);
    this.#checkTerm(node, life);
    this.#checkCommit(node, life, effects);
    this.#checkHandedOut(node, effects);
    if (role === "leader") this.#checkLeader(node, life, effects);
    else life.led = undefined;
    for (const { position, readIndex } of effects.confirmedReads) {
      const floor = this.#reads.get(`${node.id} ${position}`);
      assert.ok(floor !== undefined, `read ${position} of ${node.id} was never asked`);
      assert.ok(readIndex >= floor, `Linearizable: read at ${readIndex}, ${floor} was committed before it was asked`);
      this.confirmedReads += 1;
    }
  }

  /** A message left its node: whatever it promises is promised now. */
  sent({ from, to, message }: Flying): void {
    if (message.type !== "vote-response" || !message.granted) return;
    const key = `${from} ${message.term}`;
    const before = this.#votes.get(key) ?? to;
    assert.equal(before, to, `${from} votes for ${before} and ${to} in term ${message.term}`);
    this.#votes.set(key, to);
  }

  #lifeOf(core: ConsensusCore): Life {
    const known = this.#lives.get(core);
    if (known !== undefined) return known;
    const life: Life = { term: undefined, commitIndex: undefined, led: undefined };
    this.#lives.set(core, life);
    return life;
  }

  #checkTerm(node: SimNode, life: Life): void {
    const { term } = node.alive.status();
    const before = Math.max(life.term ?? 0, node.disk.hardState.term);
    assert.ok(term >= before, `the term of ${node.id} went back from ${before} to ${term}`);
    life.term = term;
  }

  /** What is committed never changes and never goes back; a leader commits only what a quorum has on disk. */
  #checkCommit(node: SimNode, life: Life, effects: Effects): void {
    const { commitIndex, role } = node.alive.status();
    const before = life.commitIndex ?? 0;
    assert.ok(commitIndex >= before, `the commit index of ${node.id} went back from ${before} to ${commitIndex}`);
    if (commitIndex === before) return;
    life.commitIndex = commitIndex;
    for (let index = before + 1; index <= commitIndex; index += 1) {
      const entry = node.memoryAt(index);
      if (entry !== undefined) this.#noteCommitted(node, entry);
    }
    this.#highestCommitted = Math.max(this.#highestCommitted, commitIndex);
    const last = node.memoryAt(commitIndex);
    if (role !== "leader" || last === undefined || this.nodes === undefined) return;
    const holders = [...this.nodes.values()].filter((each) => each.hasOnDisk(last)).map(({ id }) => id);
    assertQuorum(configurationBefore(node, effects), holders, `${node.id} commits ${commitIndex}`);
  }

  #noteCommitted(node: SimNode, entry: Entry): void {
    const { term } = node.alive.status();
    const known = this.#committed.get(entry.index);
    assert.ok(known === undefined || isSame(known.entry, entry), `StateMachineSafety: two entries at ${entry.index}`);
    if (known === undefined || term < known.term) this.#committed.set(entry.index, { entry, term });
  }

  /** What is handed out is synced here, and no write that is still under way takes it back. */
  #checkHandedOut(node: SimNode, effects: Effects): void {
    let expected = node.alive.status().applied + 1;
    for (const each of effects.committed) {
      assert.ok(each.index >= expected, `${node.id} is handed ${each.index}, ${expected} expected`);
      expected = each.index + 1;
      assert.equal(node.diskTermAt(each.index), each.term, `${node.id} applies ${each.index} before it is synced`);
      assert.ok(
        each.index < node.writesFrom,
        `${node.id} applies ${each.index}, and writes from ${node.writesFrom} on`,
      );
      this.#noteCommitted(node, each);
    }
  }

  #checkLeader(node: SimNode, life: Life, effects: Effects): void {
    const { term } = node.alive.status();
    const leader = this.#leaders.get(term) ?? node.id;
    assert.equal(leader, node.id, `ElectionSafety: ${leader} and ${node.id} lead term ${term}`);
    if (!this.#leaders.has(term)) this.#checkElected(node, term, effects);
    if (life.led?.term === term) {
      const last = life.led.entries.at(-1);
      const held = last && node.memoryAt(last.index);
      const isKept = last === undefined || last.index <= node.memoryBase.index || (held && isSame(held, last));
      assert.ok(isKept, `LeaderAppendOnly: ${node.id} rewrote its log`);
    }
    life.led = { term, entries: node.memory };
    for (const { kind, index } of effects.append) if (kind === "configuration") this.#checkChange(node, index);
  }

  #checkElected(node: SimNode, term: Term, effects: Effects): void {
    this.elections += 1;
    this.#leaders.set(term, node.id);
    for (const [index, { entry, term: committedIn }] of this.#committed) {
      // A vote may come so late that who wins by it leads a term long past.
      if (index <= node.memoryBase.index || committedIn >= term) continue;
      const held = node.memoryAt(index);
      assert.ok(held !== undefined && isSame(held, entry), `LeaderCompleteness: ${node.id} leads without ${index}`);
    }
    if (this.nodes === undefined) return;
    const voters = [...this.nodes.keys()].filter((id) => this.#votes.get(`${id} ${term}`) === node.id);
    assertQuorum(configurationBefore(node, effects), [...voters, node.id], `${node.id} leads term ${term}`);
  }

  /** A leader appends a configuration only when all before it are committed. */
  #checkChange(node: SimNode, index: LogIndex): void {
    this.changes += 1;
    for (const entry of node.memory) {
      if (entry.kind !== "configuration" || entry.index >= index) continue;
      const known = this.#committed.get(entry.index);
      const isCommitted = known !== undefined && isSame(known.entry, entry);
      assert.ok(isCommitted, `${node.id} changes members at ${index} while ${entry.index} is not committed`);
    }
  }

  /** LogMatching: where two logs have an entry of one term, they are equal up to there. */
  checkLogs(nodes: readonly SimNode[]): void {
    for (const [place, one] of nodes.entries())
      for (const other of nodes.slice(place + 1)) {
        let mustMatch = false;
        const last = Math.min(one.memory.at(-1)?.index ?? 0, other.memory.at(-1)?.index ?? 0);
        for (let index = last; index > Math.max(one.memoryBase.index, other.memoryBase.index); index -= 1) {
          const [a, b] = [one.memoryAt(index), other.memoryAt(index)];
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
