import type { NodeId } from "../../node/base/ids.ts";
import type { History } from "./history.ts";
import { n1 } from "./support.ts";

/**
 * Anything may happen next: messages lost, doubled, late and out of order; disks that sync late and forget what was not
 * synced; crashes, restarts, cuts, pauses, trims, snapshots, transfers, changes of members, refused connections.
 */
export function wander(history: History, steps: number): void {
  const wanderer = new Wanderer(history);
  for (let step = 0; step < steps; step += 1) {
    wanderer.act();
    if (step % 64 === 0) history.checker.checkLogs(history.cluster.running);
  }
}

class Wanderer {
  readonly #history: History;
  /** These do nothing and hear nothing, and do not know that time passes. */
  readonly #paused = new Set<NodeId>();

  constructor(history: History) {
    this.#history = history;
  }

  act(): void {
    const { random, faults, cluster } = this.#history;
    const kind = random();
    const { crash, rare, change } = faults;
    if (kind < crash) this.#crash();
    else if (kind < crash + rare) this.#rare();
    else if (kind < crash + rare + change) this.#change();
    else if (kind < 0.15) this.#restart();
    else if (kind < 0.2) this.#propose();
    else if (kind < 0.26) this.#read();
    else if (kind < 0.4) this.#pass();
    else if (kind < 0.45) this.#history.pick(cluster.running)?.apply(random() * 8);
    else if (kind < 0.6) this.#history.pick(cluster.running)?.sync();
    else for (let count = random() * 8; count > 0; count -= 1) this.#deliver();
  }

  #deliver(): void {
    const history = this.#history;
    const { bus } = history.cluster;
    if (bus.length === 0) return;
    // Mostly in order, sometimes anything that ever waited.
    const place = history.chance(0.7) ? 0 : history.below(bus.length);
    const [flying] = history.chance(history.faults.duplicate) ? [bus[place]] : bus.splice(place, 1);
    if (flying === undefined || history.chance(history.faults.drop)) return;
    if (this.#paused.has(flying.to)) bus.push(flying);
    else history.cluster.deliver(flying);
  }

  #pass(): void {
    const { cluster, random } = this.#history;
    cluster.nowMs += Math.floor(random() ** 3 * 200);
    for (const each of cluster.running)
      if (each.alive.deadlineMs <= cluster.nowMs && !this.#paused.has(each.id)) cluster.step(each.id, { type: "tick" });
  }

  #propose(): void {
    const history = this.#history;
    const target = history.chance(0.9) ? history.cluster.leader : history.pick(history.cluster.running);
    if (target !== undefined) history.propose(target);
  }

  #read(): void {
    const target = this.#history.pick(this.#history.cluster.running);
    if (target !== undefined) this.#history.cluster.read(target.id);
  }

  #change(): void {
    const history = this.#history;
    const target = history.chance(0.8) ? history.cluster.leader : history.pick(history.cluster.running);
    if (target !== undefined) history.change(target);
  }

  #crash(): void {
    const history = this.#history;
    const victim = history.chance(0.5) ? history.cluster.leader : history.pick(history.cluster.running);
    if (victim === undefined) return;
    history.crash(victim);
    for (const each of history.cluster.running)
      if (history.chance(0.5)) history.cluster.step(each.id, { type: "peer-refused", peer: victim.id });
  }

  #restart(): void {
    const dead = this.#history.pick(this.#history.dead);
    if (dead !== undefined) this.#history.cluster.restart(dead.id);
  }

  #rare(): void {
    const history = this.#history;
    const { cluster, random } = history;
    const target = history.pick(cluster.running);
    if (target === undefined) return;
    const anybody = history.pick(history.ids) ?? n1;
    const kind = random();
    if (kind < 0.12) cluster.heal();
    else if (kind < 0.2) cluster.cut(target.id);
    else if (kind < 0.28) cluster.cut(cluster.leader?.id ?? target.id);
    else if (kind < 0.32) this.#paused.add(cluster.leader?.id ?? target.id);
    else if (kind < 0.35) this.#paused.clear();
    else if (kind < 0.38) cluster.cutOneWay(target.id, anybody);
    else if (kind < 0.45) cluster.step(target.id, { type: "transfer-leadership", to: anybody });
    else if (kind < 0.6) cluster.step(target.id, { type: "peer-refused", peer: anybody });
    else if (kind < 0.8) history.installSnapshots();
    else history.trim(target);
  }
}
