import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, type NodeId } from "../../node/base/ids.ts";
import { InvariantError } from "../../node/base/invariant.ts";
import { Checker } from "./checker.ts";
import { Cluster } from "./cluster.ts";
import { n1, seeded } from "./support.ts";

// Random histories: messages lost, doubled, late and out of order; disks that sync late and forget what was not synced;
// crashes, restarts, cuts, trims, snapshots, transfers, refused connections. A seed replays exactly.

interface Faults {
  readonly drop: number;
  readonly duplicate: number;
  readonly crash: number;
  /** How often something rare happens: cuts, pauses, trims, transfers, refused connections. */
  readonly rare: number;
  /** This node may lose the end of its synced log when it crashes. */
  readonly forgetful: NodeId | undefined;
}

class History {
  readonly checker = new Checker();
  readonly cluster: Cluster;
  readonly #random: () => number;
  readonly #faults: Faults;
  /** These do nothing and hear nothing, and do not know that time passes. */
  readonly #paused = new Set<NodeId>();
  #proposed = 0;

  constructor(seed: number, voters: number) {
    this.#random = seeded(seed * 7919 + voters);
    const draw = (limit: number) => (this.#random() < 0.5 ? 0 : this.#random() * limit);
    this.#faults = {
      drop: draw(0.3),
      duplicate: draw(0.2),
      crash: draw(0.04),
      rare: 0.01 + draw(0.09),
      forgetful: this.#random() < 0.4 ? n1 : undefined,
    };
    const isLazy = this.#random() < 0.6;
    this.cluster = new Cluster({
      voters,
      seed,
      settings: { maxAppendBytes: this.#random() < 0.5 ? 1 : 256 },
      left: (flying) => this.checker.sent(flying),
      stepped: (node, input, effects) => this.checker.stepped(node, input, effects),
    });
    this.checker.nodes = this.cluster.nodes;
    for (const each of this.cluster.nodes.values()) each.appliesAtOnce = !isLazy;
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step += 1) {
      this.#act();
      if (step % 64 === 0) this.checker.checkLogs(this.cluster.running);
    }
    this.#heal();
  }

  /** When all faults end, the group elects a leader, commits, and answers a read everywhere. */
  #heal(): void {
    const { cluster } = this;
    cluster.heal();
    this.#paused.clear();
    for (const each of cluster.nodes.values()) {
      each.appliesAtOnce = true;
      if (each.core === undefined) cluster.restart(each.id);
      each.apply(Number.POSITIVE_INFINITY);
    }
    const goal = `end of history`;
    const isDone = () =>
      cluster.running.every(
        (each) =>
          each.memory.some(({ data }) => Buffer.from(data).toString() === goal) &&
          each.alive.status().applied >= this.checker.highestCommitted,
      );
    cluster.runUntil(() => {
      cluster.run(20);
      if (cluster.leader !== undefined) cluster.propose(cluster.leader.id, goal);
      this.#installSnapshots();
      return isDone();
    }, 20_000);
    cluster.run(200);
    this.checker.checkLogs(cluster.running);
    for (const each of cluster.running) {
      const position = cluster.read(each.id);
      cluster.run(100);
      assert.ok(
        each.confirmedReads.some((read) => read.position === position),
        `${each.id} cannot read`,
      );
      assert.equal(each.alive.status().lostPromises, false, `${each.id} is not refilled`);
    }
  }

  #installSnapshots(): void {
    for (const each of this.cluster.running) {
      const { snapshotNeeded } = each;
      if (snapshotNeeded === undefined) continue;
      const source = this.cluster.at(snapshotNeeded.from);
      if (source.disk.applied.index >= snapshotNeeded.position.index) each.installSnapshotOf(source);
    }
  }

  #act(): void {
    const { cluster } = this;
    const kind = this.#random();
    const { crash, rare } = this.#faults;
    if (kind < crash) this.#crash();
    else if (kind < crash + rare) this.#rare();
    else if (kind < 0.12) this.#restart();
    else if (kind < 0.2) this.#propose();
    else if (kind < 0.26) this.#read();
    else if (kind < 0.4) this.#pass();
    else if (kind < 0.45) this.#pick(cluster.running)?.apply(this.#random() * 8);
    else if (kind < 0.6) this.#pick(cluster.running)?.sync();
    else for (let count = this.#random() * 8; count > 0; count -= 1) this.#deliver();
  }

  #deliver(): void {
    const { bus } = this.cluster;
    if (bus.length === 0) return;
    // Mostly in order, sometimes anything that ever waited.
    const place = this.#random() < 0.7 ? 0 : Math.floor(this.#random() * bus.length);
    const [flying] = this.#random() < this.#faults.duplicate ? [bus[place]] : bus.splice(place, 1);
    if (flying === undefined || this.#random() < this.#faults.drop) return;
    if (this.#paused.has(flying.to)) {
      bus.push(flying);
      return;
    }
    this.cluster.deliver(flying);
  }

  #pass(): void {
    const { cluster } = this;
    cluster.nowMs += Math.floor(this.#random() ** 3 * 200);
    for (const each of cluster.running)
      if (each.alive.deadlineMs <= cluster.nowMs && !this.#paused.has(each.id)) cluster.step(each.id, { type: "tick" });
  }

  #propose(): void {
    const target = this.#random() < 0.9 ? this.cluster.leader : this.#pick(this.cluster.running);
    if (target === undefined) return;
    const texts = Array.from({ length: 1 + Math.floor(this.#random() * 4) }, () => `p${this.#proposed++}`);
    this.cluster.propose(target.id, ...texts);
  }

  #read(): void {
    const target = this.#pick(this.cluster.running);
    if (target !== undefined) this.cluster.read(target.id);
  }

  #crash(): void {
    const victim = this.#random() < 0.5 ? this.cluster.leader : this.#pick(this.cluster.running);
    if (victim === undefined) return;
    if (victim.id === this.#faults.forgetful && this.#random() < 0.5)
      victim.crashAndLose(Math.floor(this.#random() * 8));
    else victim.crash();
    for (const each of this.cluster.running)
      if (this.#random() < 0.5) this.cluster.step(each.id, { type: "peer-refused", peer: victim.id });
  }

  #restart(): void {
    const dead = this.#pick([...this.cluster.nodes.values()].filter(({ core }) => core === undefined));
    if (dead !== undefined) this.cluster.restart(dead.id);
  }

  #rare(): void {
    const { cluster } = this;
    const target = this.#pick(cluster.running);
    if (target === undefined) return;
    const kind = this.#random();
    if (kind < 0.12) cluster.heal();
    else if (kind < 0.2) cluster.cut(target.id);
    else if (kind < 0.28) cluster.cut(cluster.leader?.id ?? target.id);
    else if (kind < 0.32) this.#paused.add(cluster.leader?.id ?? target.id);
    else if (kind < 0.35) this.#paused.clear();
    else if (kind < 0.38) cluster.cutOneWay(target.id, this.#pick([...cluster.nodes.keys()]) ?? target.id);
    else if (kind < 0.45)
      cluster.step(target.id, { type: "transfer-leadership", to: this.#pick([...cluster.nodes.keys()]) });
    else if (kind < 0.6)
      cluster.step(target.id, { type: "peer-refused", peer: this.#pick([...cluster.nodes.keys()]) ?? n1 });
    else if (kind < 0.8) this.#installSnapshots();
    else target.trim(logIndex(Math.max(0, target.disk.applied.index - Math.floor(this.#random() * 5))));
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#random() * from.length)];
  }
}

function explore(voters: number, seeds: number, steps: number): { elections: number; reads: number; commits: number } {
  const total = { elections: 0, reads: 0, commits: 0 };
  for (let seed = 1; seed <= seeds; seed += 1) {
    const history = new History(seed, voters);
    try {
      history.run(steps);
    } catch (error) {
      if (error instanceof assert.AssertionError || error instanceof InvariantError)
        error.message = `${voters} voters, seed ${seed}: ${error.message}`;
      throw error;
    }
    total.elections += history.checker.elections;
    total.reads += history.checker.confirmedReads;
    total.commits += history.checker.highestCommitted;
  }
  return total;
}

test("Raft: 400 random histories of three nodes keep every safety property, and end healthy", () => {
  const { elections, reads, commits } = explore(3, 400, 1500);
  assert.ok(elections > 400 && reads > 4000 && commits > 4000, JSON.stringify({ elections, reads, commits }));
});

test("Raft: 100 random histories of five nodes keep every safety property, and end healthy", () => {
  const { elections, reads, commits } = explore(5, 100, 2000);
  assert.ok(elections > 100 && reads > 1000 && commits > 1000, JSON.stringify({ elections, reads, commits }));
});
