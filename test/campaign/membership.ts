import { rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { wasNotSent } from "../linearizability/recorder.ts";
import type { Cluster } from "../support/cluster.ts";
import { pick, type Random } from "../support/seeded-random.ts";
import type { NodeGrip } from "./grips.ts";

/** After the last fault. Before that a change may take as long as faults hold it up. */
const settleLimitMs = 60_000;
const retryMs = 250;
const statusLimitMs = 1000;

/** In place of a status: nobody heard of it. */
const notAsked = 0;

export interface MembershipOptions {
  readonly cluster: Cluster;
  /** One for each node that takes part, or could. */
  readonly grips: readonly NodeGrip[];
  /** Whether a node answers a client's read now. */
  readonly read: (node: string) => Promise<boolean>;
  /** Nodes that always take part: the rules of damage are about them. */
  readonly permanent: readonly string[];
}

/**
 * What an operator does to the group in the middle of everything: one node more, one less again, another leader. There are
 * never fewer nodes than at the beginning. A change that was begun is asked for until it is done, as an operator would.
 *
 *   idle ──emptied, started, POST──► learner ──► voter ──DELETE──► leaving ──► removed ──killed──► idle
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #founders: number;
  #isChanging = false;
  #joining: NodeGrip | undefined;
  /** Something was asked about them and not answered: it may still happen, even after the opposite was asked for. */
  readonly #unsettled = new Set<string>();

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#founders = options.cluster.members.length;
  }

  /** The nodes that clients ask: all that take part, but one that is only on its way to it. */
  get doors(): readonly string[] {
    const { cluster } = this.#options;
    return cluster.members.filter((member) => member !== this.#joining?.member).map(({ id }) => id);
  }

  /** The whole cluster was healed and stopped: what was not answered before does not happen any more. */
  settled(): void {
    this.#unsettled.clear();
  }

  /** A node that does not take part, if one may be added now. */
  idle(random: Random): NodeGrip | undefined {
    const { cluster, grips } = this.#options;
    const idle = grips.filter(({ id, member }) => !cluster.members.includes(member) && !this.#unsettled.has(id));
    return this.#isChanging || idle.length === 0 ? undefined : pick(idle, random);
  }

  /** A node that takes part, if one may be removed now. */
  removable(random: Random): NodeGrip | undefined {
    const { cluster, grips, permanent } = this.#options;
    const some = grips.filter(
      ({ id, member }) => cluster.members.includes(member) && !permanent.includes(id) && !this.#unsettled.has(id),
    );
    const isSpare = cluster.members.length > this.#founders;
    return this.#isChanging || !isSpare || some.length === 0 ? undefined : pick(some, random);
  }

  /** Resolves when the blank node votes. @throws when it does not, long after `end`. */
  async add(grip: NodeGrip, random: Random, end: AbortSignal): Promise<void> {
    const { cluster } = this.#options;
    const { id, node } = grip.member;
    await this.#change(async () => {
      rmSync(node.dataDir, { recursive: true, force: true });
      this.#joining = grip;
      cluster.enter(grip.member);
      grip.enter();
      await this.#until(`${id} is added`, end, async () => {
        const membership = await this.#membershipOf(id, random);
        if (membership === "removed") await this.#askFor(id, random, { id, peer: node.peer });
        return membership === "voter";
      });
      this.#joining = undefined;
    });
  }

  /** Resolves when the node is in no list any more, and its process has ended. @throws when it is still there, long after `end`. */
  async remove(grip: NodeGrip, random: Random, end: AbortSignal): Promise<void> {
    const { cluster } = this.#options;
    const { id } = grip.member;
    await this.#change(async () => {
      grip.mayLeave();
      await this.#until(`${id} is removed`, end, async () => {
        const membership = await this.#membershipOf(id, random);
        if (membership === "voter" || membership === "learner") await this.#askFor(id, random, undefined);
        return membership === "removed";
      });
      cluster.leave(grip.member);
      await grip.leave();
    });
  }

  /** Asks once that some node shall lead; whether it comes about is up to the faults. */
  async handOver(random: Random): Promise<void> {
    const { cluster } = this.#options;
    await this.#ask("POST", "/v1/cluster/leader", random, { to: pick(cluster.members, random).id });
  }

  /** Asks for a node to be added, or, without `add`, to be removed. */
  async #askFor(id: string, random: Random, add: object | undefined): Promise<void> {
    const answer =
      add === undefined
        ? await this.#ask("DELETE", `/v1/cluster/nodes/${id}`, random)
        : await this.#ask("POST", "/v1/cluster/nodes", random, add);
    if (answer === undefined) this.#unsettled.add(id);
  }

  async #change(act: () => Promise<void>): Promise<void> {
    this.#isChanging = true;
    try {
      await act();
    } finally {
      this.#isChanging = false;
    }
  }

  async #until(what: string, end: AbortSignal, isDone: () => Promise<boolean>): Promise<void> {
    let giveUpAt = Number.POSITIVE_INFINITY;
    while (!(await isDone())) {
      if (end.aborted) giveUpAt = Math.min(giveUpAt, performance.now() + settleLimitMs);
      if (performance.now() > giveUpAt) throw new Error(`not within ${settleLimitMs} ms after the last fault: ${what}`);
      await delay(retryMs);
    }
  }

  /**
   * As a node shows it that has just answered a read: it has applied all that was decided before. `removed` where it does not
   * list the node; undefined while nobody can say.
   */
  async #membershipOf(id: string, random: Random): Promise<string | undefined> {
    const { cluster, read } = this.#options;
    const door = cluster.node(pick(this.doors, random));
    if (!(await read(door.id))) return undefined;
    const status = await cluster.statusOf(door, statusLimitMs);
    return status && (status.nodes.find((node) => node.id === id)?.membership ?? "removed");
  }

  /** Through any node. Undefined when it is not known what became of it. */
  async #ask(method: "POST" | "DELETE", path: string, random: Random, json?: unknown): Promise<number | undefined> {
    try {
      const { status } = await this.#options.cluster.operate(pick(this.doors, random), method, path, json);
      return status < 500 ? status : undefined;
    } catch (error) {
      return wasNotSent(error) ? notAsked : undefined;
    }
  }
}
