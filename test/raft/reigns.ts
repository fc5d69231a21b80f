import type { NodeId } from "../../node/base/ids.ts";
import { isVoter } from "../../node/raft/configuration.ts";
import type { Flying } from "./cluster.ts";
import type { History } from "./history.ts";
import type { SimNode } from "./sim-node.ts";
import { n1 } from "./support.ts";

/**
 * One short reign after another: somebody stands for election before a court of a few, and if it wins, does a little in
 * its reach. Who is not at court hears nothing; messages that were not delivered stay, and may come much later. So logs
 * diverge, leaders live on that were deposed long ago, and entries sit on majorities without being committed: what
 * random walks seldom find.
 */
export function reigns(history: History, count: number): void {
  let age = drawAge(history);
  let former: NodeId | undefined;
  for (let reign = 0; reign < count; reign += 1) {
    if (history.chance(0.1)) age = drawAge(history);
    former = new Reign(history, age, former).play();
    history.checker.checkLogs(history.cluster.running);
  }
}

/** What several reigns have in common. */
interface Age {
  /** Mostly these take turns. */
  readonly rivals: readonly NodeId[];
  /** Its disk hardly ever syncs. */
  readonly slow: NodeId | undefined;
}

function drawAge(history: History): Age {
  const rivals = Array.from({ length: 3 }, () => history.pick(history.ids) ?? n1);
  return { rivals, slow: history.chance(0.3) ? history.pick(history.ids) : undefined };
}

/** More messages than this are not kept for later. */
const maxBacklog = 200;

class Reign {
  readonly #history: History;
  readonly #age: Age;
  readonly #candidate: SimNode | undefined;
  readonly #court: ReadonlySet<NodeId>;
  /** What was under way before: it may come late, or never. */
  readonly #old: ReadonlySet<Flying>;

  constructor(history: History, age: Age, former: NodeId | undefined) {
    this.#history = history;
    this.#age = age;
    for (const each of history.dead) if (history.chance(0.7)) history.cluster.restart(each.id);
    this.#old = new Set(history.cluster.bus);
    this.#candidate = this.#drawCandidate();
    const presence = 0.5 + 0.5 * history.random();
    const absent = history.chance(0.5) ? former : undefined;
    const isThere = (id: NodeId) => id === age.slow || (id !== absent && history.chance(presence));
    this.#court = new Set(history.ids.filter((id) => id === this.#candidate?.id || isThere(id)));
  }

  #drawCandidate(): SimNode | undefined {
    const history = this.#history;
    const { running } = history.cluster;
    if (history.chance(0.1)) return history.pick(running);
    const voters = running.filter(({ id, alive }) => isVoter(alive.status().configuration, id));
    const rivals = voters.filter(({ id }) => this.#age.rivals.includes(id));
    const standing = rivals.length > 0 && history.chance(0.8) ? rivals : voters;
    const hopeful = standing.filter((each) => isHopeful(each, running));
    return history.pick(hopeful.length > 0 && history.chance(0.7) ? hopeful : standing);
  }

  /** The candidate's id, successful or not. */
  play(): NodeId | undefined {
    const history = this.#history;
    const candidate = this.#candidate;
    if (candidate === undefined) return undefined;
    this.#stand(candidate);
    const hasWon = candidate.alive.status().role === "leader";
    if (hasWon && history.chance(0.5)) this.#settle();
    const length = history.below(hasWon ? 40 : 5);
    for (let turn = 0; turn < length; turn += 1) this.#act(candidate);
    if (history.chance(0.4)) this.#askLeaders();
    for (const each of history.cluster.running) if (history.chance(history.faults.crash * 4)) history.crash(each);
    const { bus } = history.cluster;
    while (bus.length > maxBacklog) bus.splice(history.below(bus.length), 1);
    return candidate.id;
  }

  /** Nobody else looks at the clock, so leaders of before stay what they were. */
  #stand(candidate: SimNode): void {
    const history = this.#history;
    const { cluster } = history;
    if (candidate.alive.status().role === "leader" && history.chance(0.7)) return;
    if (history.chance(0.7)) cluster.nowMs += 1100;
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const { deadlineMs } = candidate.alive;
      // A leader without followers is never due.
      if (Number.isFinite(deadlineMs)) cluster.nowMs = Math.max(cluster.nowMs, deadlineMs);
      cluster.step(candidate.id, { type: "tick" });
      while (this.#deliver(isElection) || this.#syncSomebody());
      if (candidate.alive.status().role === "leader") return;
    }
  }

  /** Lets the court do all that it has to do. */
  #settle(): void {
    for (let turn = 0; turn < 100 && (this.#deliver() || this.#syncSomebody()); turn += 1);
  }

  #act(candidate: SimNode): void {
    const history = this.#history;
    const { cluster, random, faults } = history;
    const courtier = history.pick(cluster.running.filter(({ id }) => this.#court.has(id))) ?? candidate;
    const leads = candidate.core?.status().role === "leader";
    const kind = random();
    if (kind < 0.4) for (let count = history.below(6); count >= 0 && this.#deliver(); count -= 1);
    else if (kind < 0.6) for (let count = history.below(3); count >= 0 && this.#sync(courtier); count -= 1);
    else if (kind < 0.65) courtier.apply(random() * 8);
    else if (kind < 0.73 && leads) history.propose(candidate);
    else if (kind < 0.8 && leads) history.change(candidate);
    else if (kind < 0.82) this.#askLeaders();
    else if (kind < 0.86) this.#deliverLate();
    else if (kind < 0.88) this.#tick(courtier);
    else if (kind < 0.9 && leads) this.#tick(candidate);
    else if (kind < 0.91) history.trim(courtier);
    else if (kind < 0.92) history.installSnapshots();
    else if (kind < 0.93) cluster.step(courtier.id, { type: "transfer-leadership", to: history.pick(history.ids) });
    else if (kind < 0.93 + faults.crash / 2) this.#restart(courtier);
    else if (kind < 0.96 + faults.crash / 2 && faults.forgetful !== undefined)
      this.#restart(cluster.at(faults.forgetful));
    else if (kind > 0.99) cluster.step(courtier.id, { type: "peer-refused", peer: history.pick(history.ids) ?? n1 });
  }

  /** Lets time pass until the node is due, unless that is far. */
  #tick(target: SimNode): void {
    const { cluster } = this.#history;
    const { deadlineMs } = target.alive;
    if (deadlineMs < cluster.nowMs + 60) cluster.nowMs = Math.max(cluster.nowMs, deadlineMs);
    cluster.step(target.id, { type: "tick" });
  }

  /** Reads from all that take themselves for leaders; those of before may find old answers in the post. */
  #askLeaders(): void {
    const history = this.#history;
    for (const leader of history.leaders) {
      history.cluster.read(leader.id);
      if (history.chance(0.5)) continue;
      for (const flying of history.cluster.bus.filter(({ to }) => to === leader.id)) this.#handOver(flying);
    }
  }

  #restart(target: SimNode): void {
    if (target.core === undefined) return;
    this.#history.crash(target);
    this.#history.cluster.restart(target.id);
  }

  /** One message of this reign from court to court, mostly the oldest. */
  #deliver(isMeant: (flying: Flying) => boolean = () => true): boolean {
    const history = this.#history;
    const isHere = (flying: Flying) =>
      this.#court.has(flying.from) && this.#court.has(flying.to) && !this.#old.has(flying);
    const waiting = history.cluster.bus.filter((flying) => isHere(flying) && isMeant(flying));
    const flying = history.chance(0.8) ? waiting[0] : history.pick(waiting);
    if (flying !== undefined) this.#handOver(flying);
    return flying !== undefined;
  }

  #deliverLate(): void {
    const flying = this.#history.pick(this.#history.cluster.bus);
    if (flying !== undefined) this.#handOver(flying);
  }

  #handOver(flying: Flying): void {
    const history = this.#history;
    const { bus } = history.cluster;
    if (!history.chance(history.faults.duplicate)) bus.splice(bus.indexOf(flying), 1);
    if (!history.chance(history.faults.drop)) history.cluster.deliver(flying);
  }

  #sync(target: SimNode): boolean {
    if (target.id === this.#age.slow && this.#history.chance(0.97)) return false;
    return target.sync();
  }

  #syncSomebody(): boolean {
    return this.#history.cluster.running.some((each) => this.#court.has(each.id) && this.#sync(each));
  }
}

/** Whether the logs of most do not keep them from voting for it. */
function isHopeful(candidate: SimNode, all: readonly SimNode[]): boolean {
  const { last, lostPromises } = candidate.alive.status();
  const behind = all.filter(({ alive }) => {
    const other = alive.status().last;
    return other.term < last.term || (other.term === last.term && other.index <= last.index);
  });
  return !lostPromises && behind.length * 2 > all.length;
}

function isElection({ message }: Flying): boolean {
  return message.type.includes("vote");
}
