import assert from "node:assert/strict";
import type { NodeId } from "../../node/base/ids.ts";
import { membersOf } from "../../node/raft/configuration.ts";
import type {
  Configuration,
  Effects,
  Entry,
  Envelope,
  Input,
  RaftMessage,
  RaftOptions,
} from "../../node/raft/types.ts";
import { blankDisk, type PendingWrite, SimNode } from "./sim-node.ts";
import { bytes, configurationOf, node, seeded } from "./support.ts";

export interface Flying {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: RaftMessage;
}

export interface ClusterSetup {
  readonly voters?: number;
  readonly configuration?: Configuration;
  /** Nodes that run, and are in no configuration yet. */
  readonly strangers?: readonly NodeId[];
  readonly seed?: number;
  /** A node's own chance; all draw from one seeded stream if left out. */
  readonly chanceOf?: (node: NodeId) => () => number;
  readonly settings?: Partial<RaftOptions>;
  /** The logs the nodes start with, n1 first. */
  readonly logs?: readonly (readonly Entry[])[];
  readonly stepped?: (node: SimNode, input: Input, effects: Effects) => void;
  readonly synced?: (node: SimNode, write: PendingWrite) => void;
  readonly left?: (flying: Flying) => void;
}

/**
 * Several cores on one virtual clock. Messages take no time, and go nowhere through a cut or a filter; disks sync as
 * soon as they are looked at, unless held.
 */
export class Cluster {
  readonly nodes: ReadonlyMap<NodeId, SimNode>;
  readonly bus: Flying[] = [];
  /** Everything that was ever sent, lost or not. */
  readonly sent: Flying[] = [];
  nowMs = 0;
  /** Messages it refuses are lost. */
  filter: (flying: Flying) => boolean = () => true;
  /** Disks of these nodes do not sync. */
  readonly heldDisks = new Set<NodeId>();
  readonly #cuts = new Set<string>();
  readonly #left: (flying: Flying) => void;
  #position = 0;

  constructor(setup: ClusterSetup = {}) {
    this.#left = setup.left ?? (() => undefined);
    const count = setup.voters ?? 3;
    const voters = Array.from({ length: count }, (_, place) => node(place + 1));
    const configuration = setup.configuration ?? configurationOf({ voters });
    const members = [...new Set([...membersOf(configuration), ...(setup.strangers ?? [])])].sort();
    const shared = seeded(setup.seed ?? 1);
    const hooks = {
      send: (from: NodeId, { to, message }: Envelope) => this.post({ from, to, message }),
      stepped: (stepped: SimNode, input: Input, effects: Effects) => setup.stepped?.(stepped, input, effects),
      synced: (synced: SimNode, write: PendingWrite) => setup.synced?.(synced, write),
    };
    this.nodes = new Map(
      members.map((id, place) => {
        const disk = blankDisk(configuration, setup.logs?.[place]);
        const random = setup.chanceOf?.(id) ?? shared;
        return [id, new SimNode({ id, disk, hooks, random, settings: setup.settings ?? {} })];
      }),
    );
    for (const each of this.nodes.values()) each.start(this.nowMs);
  }

  post(flying: Flying): void {
    this.sent.push(flying);
    this.#left(flying);
    if (this.#cuts.has(`${flying.from} ${flying.to}`) || !this.filter(flying)) return;
    this.bus.push(flying);
  }

  at(id: NodeId): SimNode {
    const found = this.nodes.get(id);
    assert.ok(found !== undefined, `no node ${id}`);
    return found;
  }

  get running(): SimNode[] {
    return [...this.nodes.values()].filter(({ core }) => core !== undefined);
  }

  step(id: NodeId, input: Input): Effects {
    return this.at(id).step(this.nowMs, input);
  }

  deliver(flying: Flying): void {
    const target = this.nodes.get(flying.to);
    if (target?.core === undefined) return;
    target.step(this.nowMs, { type: "message", from: flying.from, message: flying.message });
  }

  /** Delivers and syncs until nothing is left to do at this moment, between and on the nodes that `isMeant` accepts. */
  settle(isMeant: (node: NodeId) => boolean = () => true): void {
    for (let round = 0; ; round += 1) {
      assert.ok(round < 10_000, "the cluster never comes to rest");
      const next = this.bus.findIndex(({ from, to }) => isMeant(from) && isMeant(to));
      if (next >= 0) {
        for (const flying of this.bus.splice(next, 1)) this.deliver(flying);
        continue;
      }
      const synced = this.running.filter((each) => isMeant(each.id) && !this.heldDisks.has(each.id) && each.sync());
      if (synced.length === 0) return;
    }
  }

  /** Lets `ms` pass, with every tick that falls due, and settles after each. */
  run(ms: number): void {
    const endMs = this.nowMs + ms;
    this.settle();
    for (;;) {
      const [next] = this.running.sort((a, b) => a.alive.deadlineMs - b.alive.deadlineMs);
      const dueMs = next?.alive.deadlineMs ?? Number.POSITIVE_INFINITY;
      if (next === undefined || dueMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.step(next.id, { type: "tick" });
      this.settle();
    }
    this.nowMs = endMs;
  }

  /** Runs until `isDone`, and says how long it took. */
  runUntil(isDone: () => boolean, limitMs: number): number {
    const startMs = this.nowMs;
    while (!isDone()) {
      assert.ok(this.nowMs - startMs < limitMs, `not done after ${limitMs} ms`);
      this.run(1);
    }
    return this.nowMs - startMs;
  }

  /** Makes `id` the leader by letting only its timer run out. */
  elect(id: NodeId): SimNode {
    const winner = this.at(id);
    this.nowMs = Math.max(this.nowMs, winner.alive.deadlineMs);
    this.step(id, { type: "tick" });
    if (winner.alive.status().role === "follower") {
      this.nowMs = Math.max(this.nowMs, winner.alive.deadlineMs);
      this.step(id, { type: "tick" });
    }
    this.settle();
    assert.equal(winner.alive.status().role, "leader", `${id} was not elected`);
    return winner;
  }

  get leader(): SimNode | undefined {
    const leaders = this.running.filter(({ alive }) => alive.status().role === "leader");
    return leaders.sort((a, b) => b.alive.status().term - a.alive.status().term)[0];
  }

  configurationAt(id: NodeId): Configuration {
    return this.at(id).alive.status().configuration;
  }

  propose(id: NodeId, ...texts: string[]): Effects {
    return this.step(id, { type: "propose", commands: texts.map(bytes) });
  }

  /** Asks `id` for a read; its position. */
  read(id: NodeId): number {
    this.#position += 1;
    this.step(id, { type: "read", position: this.#position });
    return this.#position;
  }

  /** Asks `id` to make these the members. */
  change(id: NodeId, voters: readonly NodeId[], learners: readonly NodeId[] = []): Effects["refusedMembership"] {
    return this.step(id, { type: "change-membership", voters, learners }).refusedMembership;
  }

  /** Cuts both ways between `id` and the others (all, if none are given). */
  cut(id: NodeId, ...others: NodeId[]): void {
    for (const other of others.length > 0 ? others : this.nodes.keys()) {
      this.#cuts.add(`${id} ${other}`);
      this.#cuts.add(`${other} ${id}`);
    }
  }

  cutOneWay(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from} ${to}`);
  }

  heal(): void {
    this.#cuts.clear();
    this.filter = () => true;
  }

  crash(id: NodeId): void {
    this.at(id).crash();
  }

  restart(id: NodeId): void {
    this.at(id).start(this.nowMs);
  }

  /** The texts of the commands that `id` has applied or holds, as `index@term:text`. */
  logOf(id: NodeId): string[] {
    return this.at(id).memory.map(({ index, term, data }) => `${index}@${term}:${new TextDecoder().decode(data)}`);
  }
}
