import { rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../support/cluster.ts";
import { pick, type Random } from "../support/seeded-random.ts";
import type { NodeGrip } from "./grips.ts";

/** After the last fault. Before that a change may take as long as faults hold it up. */
const settleLimitMs = 60_000;
const retryMs = 250;
const statusLimitMs = 1000;

type Answer = Awaited<ReturnType<Cluster["operate"]>>;

export interface MembershipOptions {
  readonly cluster: Cluster;
  /** One for each node that takes part, or could. */
  readonly grips: readonly NodeGrip[];
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

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#founders = options.cluster.members.length;
  }

  /** The nodes that clients ask: all that take part, but one that is only on its way to it. */
  get doors(): readonly string[] {
    const { cluster } = this.#options;
    return cluster.members.filter((member) => member !== this.#joining?.member).map(({ id }) => id);
  }

  /** A node that does not take part, if one may be added now. */
  idle(random: Random): NodeGrip | undefined {
    const { cluster, grips } = this.#options;
    const idle = grips.filter(({ member }) => !cluster.members.includes(member));
    return this.#isChanging || idle.length === 0 ? undefined : pick(idle, random);
  }

  /** A node that takes part, if one may be removed now. */
  removable(random: Random): NodeGrip | undefined {
    const { cluster, grips, permanent } = this.#options;
    const some = grips.filter(({ id, member }) => cluster.members.includes(member) && !permanent.includes(id));
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
      const ask = () => this.#ask("POST", "/v1/cluster/nodes", random, { id, peer: node.peer });
      await this.#until(`${id} is added`, end, async () => {
        const membership = await this.#membershipOf(id);
        if (membership === "removed") await ask();
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
        const membership = await this.#membershipOf(id);
        if (membership === "voter" || membership === "learner")
          await this.#ask("DELETE", `/v1/cluster/nodes/${id}`, random);
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

  /** As the leader has applied it: others may be behind, in a former life of the node. Undefined while nobody knows. */
  async #membershipOf(id: string): Promise<string | undefined> {
    const { cluster } = this.#options;
    const leader = await cluster.leader(statusLimitMs);
    const status = leader && (await cluster.statusOf(leader, statusLimitMs));
    if (status === undefined || status.leader !== leader?.id) return undefined;
    return status.nodes.find((node) => node.id === id)?.membership ?? "removed";
  }

  /** Through any node. Undefined when none answered; it is asked again. */
  async #ask(method: "POST" | "DELETE", path: string, random: Random, json?: unknown): Promise<Answer | undefined> {
    const { cluster } = this.#options;
    try {
      return await cluster.operate(pick(cluster.members, random).id, method, path, json);
    } catch {
      return undefined; // refused, broken or too slow: what became of it is seen in the status
    }
  }
}
