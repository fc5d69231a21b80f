import { type Chance, systemChance } from "./base/chance.ts";
import { type Clock, systemClock } from "./base/clock.ts";
import { httpNetwork, type Network } from "./network.ts";
import { defaultTuning, type ReplicationTuning, type ReplicationWitness } from "./replication/replication-options.ts";
import type { StorageDisk } from "./storage/disk.ts";
import { systemDisk } from "./storage/system/system-disk.ts";

/**
 * Everything a node meets that is not its own code. The simulator runs the same composition in other surroundings, so
 * nothing else may touch time, chance, disk or network.
 */
export interface Surroundings {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly network: Network;
  readonly disk: StorageDisk;
  readonly tuning: ReplicationTuning;
  readonly witness: ReplicationWitness | undefined;
}

/** The machine that the process runs on. */
export const systemSurroundings: Surroundings = {
  clock: systemClock,
  chance: systemChance,
  network: httpNetwork,
  disk: systemDisk,
  tuning: defaultTuning,
  witness: undefined,
};
