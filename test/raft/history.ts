import assert from "node:assert/strict";
import { logIndex, type NodeId } from "../../node/base/ids.ts";
import { isJoint, membersOf } from "../../node/raft/configuration.ts";
import type { Configuration, WantedMembers } from "../../node/raft/types.ts";
import { Checker } from "./checker.ts";
import { Cluster } from "./cluster.ts";
import type { SimNode } from "./sim-node.ts";
import { configurationOf, n1, node, seeded } from "./support.ts";

/** What one seed plays with; drawn anew for each, so that some do without a kind of fault altogether (swarm). */
interface Faults {
  readonly drop: number;
  readonly duplicate: number;
  readonly crash: number;
  /** How often something rare happens: cuts, pauses, trims, transfers, refused connections. */
  readonly rare: number;
  /** How often a change of members is asked for. */
  readonly change: number;
  /** This node may lose the end of its synced log when it crashes. */
  readonly forgetful: NodeId | undefined;
}

export interface HistorySetup {
  readonly seed: number;
  readonly voters: number;
  /** Nodes besides, that may become members; without any the members stay as they are. */
  readonly spares: number;
}

/** One random history: a group, its faults, and what can be done to it. The seed decides everything. */
export class History {
  readonly checker = new Checker();
  readonly cluster: Cluster;
  readonly faults: Faults;
  readonly random: () => number;
  readonly #isChanging: boolean;
  #proposed = 0;

  constructor({ seed, voters, spares }: HistorySetup) {
    const random = seeded(seed * 7919 + voters);
    const draw = (limit: number) => (random() < 0.5 ? 0 : random() * limit);
    this.random = random;
    this.faults = {
      drop: draw(0.3),
      duplicate: draw(0.2),
      crash: draw(0.04),
      rare: 0.01 + draw(0.09),
      change: 0.01 + draw(0.04),
      forgetful: random() < 0.4 ? n1 : undefined,
    };
    const isLazy = random() < 0.6;
    const nodes = Array.from({ length: voters + spares }, (_, place) => node(place + 1));
    const others = nodes.slice(voters);
    const areLearners = random() < 0.5;
    this.cluster = new Cluster({
      configuration: configurationOf({ voters: nodes.slice(0, voters), learners: areLearners ? others : [] }),
      strangers: areLearners ? [] : others,
      seed,
      settings: { maxAppendBytes: random() < 0.5 ? 1 : 256 },
      left: (flying) => this.checker.sent(flying),
      stepped: (each, input, effects) => this.checker.stepped(each, input, effects),
    });
    this.checker.nodes = this.cluster.nodes;
    this.#isChanging = spares > 0;
    for (const each of this.cluster.nodes.values()) each.appliesAtOnce = !isLazy;
    // A node that never was a member may know of nobody at all.
    if (!areLearners && random() < 0.5)
      for (const other of others) {
        this.cluster.at(other).disk.configuration = configurationOf({});
        this.cluster.restart(other);
      }
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** A whole number from 0, below `limit`. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)];
  }

  get ids(): NodeId[] {
    return [...this.cluster.nodes.keys()];
  }

  get dead(): SimNode[] {
    return [...this.cluster.nodes.values()].filter(({ core }) => core === undefined);
  }

  /** All that take themselves for leaders, deposed ones too. */
  get leaders(): SimNode[] {
    return this.cluster.running.filter(({ alive }) => alive.status().role === "leader");
  }

  propose(target: SimNode): void {
    const texts = Array.from({ length: 1 + this.below(4) }, () => `p${this.#proposed++}`);
    this.cluster.propose(target.id, ...texts);
  }

  crash(victim: SimNode): void {
    if (victim.id === this.faults.forgetful && !victim.disk.lostPromises && this.chance(0.5))
      victim.crashAndLose(this.below(1 + this.below(8)));
    else victim.crash();
  }

  trim(target: SimNode): void {
    target.trim(logIndex(Math.max(0, target.disk.applied.index - this.below(5))));
  }

  installSnapshots(): void {
    for (const each of this.cluster.running) {
      const { snapshotNeeded } = each;
      if (snapshotNeeded === undefined) continue;
      const source = this.cluster.at(snapshotNeeded.from);
      if (source.disk.applied.index >= snapshotNeeded.position.index) each.installSnapshotOf(source);
    }
  }

  /** Asks for other members: one more or less, another place for one, or anything. */
  change(target: SimNode): void {
    if (!this.#isChanging) return;
    for (let attempt = 0; attempt < 4; attempt += 1) {
      const { configuration, last } = target.alive.status();
      const { voters, learners } = this.#drawMembers(configuration);
      // With a node whose disk forgets, fewer than three voters may never have a leader again.
      if (voters.length < (this.faults.forgetful === undefined ? 1 : 3)) continue;
      this.cluster.change(target.id, voters, learners);
      if (target.alive.status().last.index > last.index) return;
    }
  }

  #drawMembers({ voters, learners }: Configuration): WantedMembers {
    const chosen = this.pick(this.ids) ?? n1;
    const without = (from: readonly NodeId[]) => from.filter((each) => each !== chosen);
    const kind = this.random();
    if (kind < 0.35) return { voters: [...new Set([...voters, ...learners])], learners: [] };
    if (kind < 0.55) return { voters: without(voters), learners: [...without(learners), chosen] };
    if (kind < 0.65) return { voters: without(voters), learners: without(learners) };
    if (kind < 0.75) return { voters: [...without(voters), ...learners.slice(0, 1)], learners: learners.slice(1) };
    if (kind < 0.8) return { voters: [...without(voters), chosen], learners: without(learners) };
    if (kind < 0.9 && learners.length > 0) return { voters: learners, learners: voters };
    const rest = this.ids.filter(() => this.chance(0.7));
    return {
      voters: rest.filter((id) => voters.includes(id) || learners.includes(id)),
      learners: rest.filter((id) => !voters.includes(id) && !learners.includes(id)),
    };
  }

  /** When all faults end, the group elects a leader, ends a change under way, commits, and answers a read everywhere. */
  end(): void {
    const { cluster } = this;
    cluster.heal();
    for (const each of this.dead) cluster.restart(each.id);
    for (const each of cluster.running) {
      each.appliesAtOnce = true;
      each.apply(Number.POSITIVE_INFINITY);
    }
    for (let turn = 0; !this.#isHealthy(); turn += 1) {
      assert.ok(turn < 1000, "the group does not recover");
      cluster.run(20);
      if (cluster.leader !== undefined) cluster.propose(cluster.leader.id, goal);
      this.installSnapshots();
    }
    cluster.run(200);
    this.checker.checkLogs(cluster.running);
    for (const each of this.#members()) {
      const position = cluster.read(each.id);
      cluster.run(100);
      const isRead = each.confirmedReads.some((read) => read.position === position);
      assert.ok(isRead, `${each.id} cannot read`);
      assert.equal(each.alive.status().lostPromises, false, `${each.id} is not refilled`);
    }
  }

  #isHealthy(): boolean {
    const { leader } = this.cluster;
    if (leader === undefined || isJoint(leader.alive.status().configuration)) return false;
    return this.#members().every(
      (each) =>
        each.memory.some(({ data }) => Buffer.from(data).toString() === goal) &&
        each.alive.status().applied >= this.checker.highestCommitted,
    );
  }

  #members(): SimNode[] {
    const { leader } = this.cluster;
    assert.ok(leader !== undefined, "nobody leads");
    return membersOf(leader.alive.status().configuration).map((id) => this.cluster.at(id));
  }
}

const goal = "end of history";
