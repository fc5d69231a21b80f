import { type Fault, isAlways } from "./field.ts";

/** Changes of the group itself: no damage, but what is most delicate under all the rest. */
export const membershipFaults: readonly Fault[] = [
  {
    name: "add a node",
    weight: 3,
    lastsMs: { from: 0, to: 0 },
    suits: isAlways,
    strike: ({ membership }, random, end) => {
      const grip = membership.idle(random);
      if (grip === undefined) return undefined;
      const added = membership.add(grip, random, end);
      return () => added;
    },
  },
  {
    name: "remove a node",
    weight: 3,
    lastsMs: { from: 0, to: 0 },
    suits: isAlways,
    strike: ({ membership }, random, end) => {
      const grip = membership.removable(random);
      if (grip === undefined) return undefined;
      const removed = membership.remove(grip, random, end);
      return () => removed;
    },
  },
  {
    name: "hand leadership over",
    weight: 2,
    lastsMs: { from: 0, to: 0 },
    suits: isAlways,
    strike: async ({ membership }, random) => {
      await membership.handOver(random);
      return () => undefined;
    },
  },
];
