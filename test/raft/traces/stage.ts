import assert from "node:assert/strict";
import type { NodeId } from "../../../node/base/ids.ts";
import type { Configuration, RaftOptions } from "../../../node/raft/types.ts";
import { Checker } from "../checker.ts";
import { Cluster, type Flying } from "../cluster.ts";
import type { SimNode } from "../sim-node.ts";
import { Recorder } from "./recorder.ts";
import { sayConfiguration, sayEntries, sayPosition } from "./wording.ts";

/**
 * The cores of one trace. Messages wait until they are delivered, writes until they are synced, and time until it is
 * let pass. Every step is checked against the safety properties of the paper besides.
 *
 * Chance is gone: while nobody is in a hurry, n1 waits 500 ms for a leader, n2 550 ms, n3 600 ms, and so on.
 */
export class Stage {
  readonly cluster: Cluster;
  readonly recorder = new Recorder(() => this.cluster.nowMs);
  readonly #checker = new Checker();
  readonly #cuts = new Set<string>();

  constructor(setup: {
    readonly configuration: Configuration;
    readonly strangers: readonly NodeId[];
    readonly settings: Partial<RaftOptions>;
  }) {
    this.cluster = new Cluster({
      ...setup,
      chanceOf: (id) => () => (Number(id.slice(1)) - 1) / 10,
      stepped: (node, input, effects) => {
        this.#checker.stepped(node, input, effects);
        this.recorder.stepped(node, effects);
      },
      synced: (node, write) => this.recorder.synced(node, write),
      left: (flying) => {
        this.#checker.sent(flying);
        this.recorder.left(flying, this.#arrives(flying) ? "" : " (lost)");
      },
    });
    this.#checker.nodes = this.cluster.nodes;
    this.cluster.filter = (flying) => this.#arrives(flying);
    for (const each of this.cluster.nodes.values()) this.#started(each);
  }

  #arrives({ from, to }: Flying): boolean {
    return !this.#cuts.has(`${from} ${to}`) && this.cluster.nodes.get(to)?.core !== undefined;
  }

  #started(node: SimNode): void {
    this.recorder.started(node);
    node.step(this.cluster.nowMs, { type: "tick" });
  }

  /** The lines since the last call, after a look at all logs. */
  take(): readonly string[] {
    this.#checker.checkLogs(this.cluster.running);
    return this.recorder.take();
  }

  /** Begins anew on the disk as it is. */
  start(id: NodeId): void {
    this.cluster.restart(id);
    this.#started(this.cluster.at(id));
  }

  /**
   * Stops the process; what it has not synced, and what is under way to it, is lost. Besides, so many synced entries, or
   * the record of how far the log was promised to others.
   */
  crash(id: NodeId, losing: number | "its promises" = 0): void {
    const node = this.cluster.at(id);
    node.crashAndLose(losing === "its promises" ? 0 : losing);
    if (losing === "its promises") Object.assign(node.disk, { lostPromises: true, promised: undefined });
    this.recorder.crashed(id);
    for (const flying of this.cluster.bus.filter(({ to }) => to === id)) this.lose(flying);
  }

  /** Lets so much time pass; heartbeats that say nothing new are not written down. */
  run(ms: number): void {
    this.recorder.skipsIdleBeats = true;
    this.cluster.run(ms);
    this.recorder.skipsIdleBeats = false;
  }

  /** Loses from now on what goes one way. */
  cutOneWay(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from} ${to}`);
  }

  heal(): void {
    this.#cuts.clear();
  }

  deliver(flying: Flying): void {
    this.lose(flying);
    this.cluster.deliver(flying);
  }

  /** @throws {AssertionError} when it is not under way. */
  lose(flying: Flying): void {
    const place = this.cluster.bus.indexOf(flying);
    assert.ok(place >= 0, `not under way: ${flying.message.type}`);
    this.cluster.bus.splice(place, 1);
  }

  /** How a node stands, in one line, and one more for each member that a leader looks after. */
  sayStatus(id: NodeId): void {
    const node = this.cluster.at(id);
    if (node.core === undefined) return this.recorder.say(`${id} is down`);
    const { role, term, leader, commitIndex, applied, last, lostPromises, progress } = node.core.status();
    const follows = role === "follower" ? ` of ${leader ?? "nobody"}` : "";
    const doubt = lostPromises ? ", lost promises" : "";
    this.recorder.say(
      `${id}: ${role}${follows}, term ${term}, log to ${sayPosition(last)}, commit ${commitIndex}, applied ${applied}${doubt}`,
    );
    for (const [peer, { state, matchIndex, isActive }] of progress)
      this.recorder.say(`  ${peer}: ${state}, holds ${matchIndex} for sure${isActive ? "" : ", silent"}`);
  }

  /** The terms of a node's log side by side, as figure 7 draws them. */
  sayLog(id: NodeId): void {
    const { memory, memoryBase } = this.cluster.at(id);
    const base = memoryBase.index === 0 ? "" : `(up to ${sayPosition(memoryBase)}) `;
    this.recorder.say(`${id}: ${base}${memory.map(({ term }) => term).join(" ")}`);
  }

  sayEntries(id: NodeId): void {
    this.recorder.say(`${id}: ${sayEntries(this.cluster.at(id).memory)}`);
  }

  sayConfiguration(id: NodeId): void {
    const { core } = this.cluster.at(id);
    this.recorder.say(core === undefined ? `${id} is down` : `${id}: ${sayConfiguration(core.status().configuration)}`);
  }
}
