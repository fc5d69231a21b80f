import type { Fault } from "./field.ts";
import { membershipFaults } from "./membership-faults.ts";
import { networkFaults } from "./network-faults.ts";
import { processFaults } from "./process-faults.ts";
import { storageFaults } from "./storage-faults.ts";

/** Every way to hurt a cluster. */
export const allFaults: readonly Fault[] = [...processFaults, ...networkFaults, ...storageFaults, ...membershipFaults];
