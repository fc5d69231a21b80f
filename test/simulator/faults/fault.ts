import type { Lots } from "../lots.ts";
import type { World } from "../world.ts";

/** Every kind of fault, in the order in which they are drawn: new ones come last, so that old seeds stay what they were. */
export const faultNames = [
  "kill one node",
  "kill several nodes",
  "kill all nodes",
  "kill the leader",
  "stop a node in order",
  "pause a node",
  "pause the leader",
  "pause a node for long",
  "cut off one node",
  "cut off the leader",
  "cut into halves",
  "cut one way",
  "cut one pair",
  "cut but for a bridge",
  "slow network of a node",
  "lose power on one node",
  "lose power on all nodes",
  "fail a sync",
  "fill a disk",
  "flip a bit of a blob",
  "flip a bit of a log",
  "flip a bit of a catalog",
  "flip a bit of the hard state",
  "misdirect a write",
  "slow disk",
  "empty a data directory",
  "hand leadership over",
  "add a node",
  "remove a node",
] as const;
export type FaultName = (typeof faultNames)[number];

/** One way to hurt the world. */
export interface Fault {
  /** Strikes, and answers how to undo it; undefined when it could not strike now. */
  strike(world: World, lots: Lots): (() => void) | undefined;
}
