import { type Chance, systemChance } from "./base/chance.ts";
import { type Clock, systemClock } from "./base/clock.ts";
import { measureFreeBytes } from "./depot/free-space.ts";
import { httpNetwork, type Network } from "./network.ts";
import { defaultTuning, type ReplicationTuning, type ReplicationWitness } from "./replication/replication-options.ts";

/**
 * Everything a node meets that is not its own code. The simulator runs the same composition in other surroundings, so
 * nothing else may touch time, chance, disk or network.
 */
export interface Surroundings {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly network: Network;
  /** What an unprivileged process may still write below `path`. */
  readonly freeBytes: (path: string) => Promise<number>;
  readonly tuning: ReplicationTuning;
  readonly witness: ReplicationWitness | undefined;
}

/** The machine that the process runs on. */
export const systemSurroundings: Surroundings = {
  clock: systemClock,
  chance: systemChance,
  network: httpNetwork,
  freeBytes: measureFreeBytes,
  tuning: defaultTuning,
  witness: undefined,
};
