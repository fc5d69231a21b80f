import { type Clock, repeatedly } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { Incarnation, NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Address, MemberFacts } from "../catalog/types.ts";
import type { Hello, Roster } from "../transport/types.ts";
import { removedError } from "./member-roll.ts";

export interface RosterWatchOptions {
  readonly self: { readonly id: NodeId; readonly incarnation: Incarnation };
  /** The group as this node has applied it. */
  readonly own: () => Roster;
  readonly hasLeader: () => boolean;
  /** Where other nodes of the group may be. */
  readonly addresses: () => readonly Address[];
  readonly hello: (address: Address) => Promise<Hello>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told `not-a-member` once it is known that this node was removed; and of a bug. */
  readonly onFatal: (error: unknown) => void;
}

const lookEveryMs = 1000;

/**
 * Who belongs to the group, also where this node has missed how it changed. A node that was away knows only those who were
 * there then; who came later is a stranger to it, cannot bring it up to date, and would be refused. So without a leader it
 * asks whoever it knows for a newer roster, and goes by that until its own catalog has come as far. If it is not in there,
 * it was removed.
 */
export class RosterWatch {
  readonly #options: RosterWatchOptions;
  #heard: Roster | undefined;
  #cancel: () => void = () => undefined;
  #isAsking = false;
  #stopped = false;

  constructor(options: RosterWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancel = repeatedly(this.#options.clock, lookEveryMs, () => this.#look());
    this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** By the newest roster there is. */
  members(): readonly MemberFacts[] {
    const own = this.#options.own();
    if (this.#heard !== undefined && this.#heard.applied <= own.applied) this.#heard = undefined;
    return (this.#heard ?? own).members;
  }

  #look(): void {
    const { hasLeader, onFatal } = this.#options;
    if (this.#isAsking || this.#stopped || hasLeader()) return;
    this.#isAsking = true;
    this.#askAll().then(
      () => {
        this.#isAsking = false;
      },
      (error: unknown) => {
        this.#isAsking = false;
        if (!this.#stopped) onFatal(error);
      },
    );
  }

  async #askAll(): Promise<void> {
    // Each as it comes: one that is paused must not hold up what the others know.
    const asked = this.#options.addresses().map(async (address) => {
      const roster = await this.#ask(address);
      if (roster !== undefined) this.#hear(roster);
    });
    await Promise.all(asked);
  }

  /** Undefined: nobody is there, or it belongs to no group. */
  async #ask(address: Address): Promise<Roster | undefined> {
    try {
      return (await this.#options.hello(address)).roster;
    } catch (error) {
      if (error instanceof DepositoError) return undefined;
      throw error;
    }
  }

  #hear(roster: Roster): void {
    const { self, own, logger } = this.#options;
    const { clusterId, applied } = own();
    if (roster.clusterId !== clusterId || roster.applied <= Math.max(applied, this.#heard?.applied ?? 0)) return;
    if (!roster.members.some(({ id, incarnation }) => id === self.id && incarnation === self.incarnation))
      throw removedError(self.id, roster.clusterName);
    this.#heard = roster;
    logger.info({ applied: roster.applied, members: roster.members.map(({ id }) => id) }, "heard of a newer roster");
  }
}
