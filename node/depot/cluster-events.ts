import { type Clock, repeatedly } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import { Listeners } from "../base/listeners.ts";
import type { Replication } from "../replication/types.ts";
import type { ClusterEvent, ClusterStatus } from "./types.ts";

export interface ClusterEventsOptions {
  readonly replication: Pick<Replication, "onGroupChange">;
  readonly clock: Clock;
  /** @throws {DepositoError} while this node has no catalog to look into. */
  readonly status: () => ClusterStatus;
}

/** Whether a node is heard is a matter of time, so it has to be looked at. */
const lookEveryMs = 500;

/** Tells what changes in the group as this node sees it, while anybody listens: by what it saw last. */
export class ClusterEvents {
  readonly #options: ClusterEventsOptions;
  readonly #listeners = new Listeners<ClusterEvent>();
  #count = 0;
  #seen: ReadonlyMap<string, ClusterEvent> = new Map();
  #endings: readonly (() => void)[] = [];

  constructor(options: ClusterEventsOptions) {
    this.#options = options;
  }

  /** Calls `listener` with how everything stands, and then with each change; the result ends it, and may be called twice. */
  listen(listener: (event: ClusterEvent) => void): () => void {
    if (this.#count === 0) this.#begin();
    this.#look();
    this.#count += 1;
    for (const event of this.#seen.values()) listener(event);
    const remove = this.#listeners.add(listener);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      remove();
      this.#count -= 1;
      if (this.#count === 0) this.#end();
    };
  }

  #begin(): void {
    const { replication, clock } = this.#options;
    const look = () => this.#look();
    this.#endings = [replication.onGroupChange(look), repeatedly(clock, lookEveryMs, look)];
  }

  #end(): void {
    for (const end of this.#endings) end();
    this.#seen = new Map();
  }

  #look(): void {
    const now = this.#facts();
    if (now === undefined) return;
    const before = this.#seen;
    this.#seen = now;
    for (const [key, event] of now) if (!isSame(before.get(key), event)) this.#listeners.tell(event);
    for (const [key, event] of before)
      if (!now.has(key) && event.type === "member") this.#listeners.tell({ ...event, membership: "removed" });
  }

  #facts(): ReadonlyMap<string, ClusterEvent> | undefined {
    try {
      return factsOf(this.#options.status());
    } catch (error) {
      if (error instanceof DepositoError) return undefined; // nothing can be seen while the catalog is installed anew
      throw error;
    }
  }
}

function factsOf({ leader, term, nodes }: ClusterStatus): ReadonlyMap<string, ClusterEvent> {
  const facts = new Map<string, ClusterEvent>([["leader", { type: "leader", leader, term }]]);
  for (const { member, state, membership } of nodes) {
    facts.set(`node ${member.id}`, { type: "node", node: member.id, state });
    facts.set(`member ${member.id}`, { type: "member", node: member.id, membership });
  }
  return facts;
}

function isSame(one: ClusterEvent | undefined, other: ClusterEvent): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
