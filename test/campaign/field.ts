import type { Cluster } from "../support/cluster.ts";
import { pick, type Random } from "../support/seeded-random.ts";
import type { SmallDisk } from "../support/small-disk.ts";
import type { DamageRules } from "./damage-rules.ts";
import type { NodeGrip } from "./grips.ts";
import type { Ledger } from "./ledger.ts";
import type { Membership } from "./membership.ts";
import type { ReplicaIndex } from "./replica-index.ts";

/** What faults act on: one cluster of real processes. */
export interface Field {
  readonly cluster: Cluster;
  /** One for each node that takes part now. */
  readonly grips: readonly NodeGrip[];
  readonly membership: Membership;
  readonly ledger: Ledger;
  readonly rules: DamageRules;
  /** What lies on each node's disk, by id, as far as it was looked at. */
  readonly replicas: ReadonlyMap<string, ReplicaIndex>;
  /** The nodes whose disk can be filled, by id. */
  readonly smallDisks: ReadonlyMap<string, SmallDisk>;
}

/** Takes a fault back. */
export type Undo = () => Promise<void> | void;

/** One way to hurt a cluster. */
export interface Fault {
  readonly name: string;
  /** How many of the draws are its own. */
  readonly weight: number;
  /** How long it lasts, in ms; 0 to 0 for what is over at once. */
  readonly lastsMs: { readonly from: number; readonly to: number };
  /** Whether this cluster can ever suffer it. */
  suits(field: Field): boolean;
  /**
   * Strikes, and answers how to undo it; undefined: the rules forbid it now, and nothing was done. After `end` no fault strikes
   * any more.
   */
  strike(field: Field, random: Random, end: AbortSignal): Promise<Undo | undefined> | Undo | undefined;
}

const leaderLimitMs = 500;

/** The leader; any node while there is none. */
export async function leaderOrAny({ cluster, grips }: Field, random: Random): Promise<NodeGrip> {
  const leader = await cluster.leader(leaderLimitMs);
  return grips.find(({ member }) => member === leader) ?? pick(grips, random);
}

export function isAlways(): boolean {
  return true;
}
