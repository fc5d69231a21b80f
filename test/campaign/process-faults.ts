import { pick, type Random, shuffled } from "../support/seeded-random.ts";
import { type Fault, type Field, isAlways, leaderOrAny, type Undo } from "./field.ts";
import type { NodeGrip } from "./grips.ts";

/** What happens to processes: killed, paused, told to stop. */
export const processFaults: readonly Fault[] = [
  {
    name: "kill a node",
    weight: 3,
    lastsMs: { from: 0, to: 3000 },
    suits: isAlways,
    strike: ({ grips }, random) => takeDown([pick(grips, random)]),
  },
  {
    name: "kill the leader",
    weight: 4,
    lastsMs: { from: 0, to: 3000 },
    suits: isAlways,
    strike: async (field, random) => takeDown([await leaderOrAny(field, random)]),
  },
  {
    name: "kill a minority",
    weight: 2,
    lastsMs: { from: 0, to: 3000 },
    suits: ({ grips }) => grips.length >= 5,
    strike: ({ grips }, random) => takeDown(some(grips, Math.floor((grips.length - 1) / 2), random)),
  },
  {
    name: "kill a majority",
    weight: 1,
    lastsMs: { from: 0, to: 1500 },
    suits: isAlways,
    strike: ({ grips }, random) => takeDown(some(grips, Math.floor(grips.length / 2) + 1, random)),
  },
  {
    name: "kill all",
    weight: 1,
    lastsMs: { from: 0, to: 500 },
    suits: isAlways,
    strike: ({ grips }) => takeDown(grips),
  },
  {
    name: "pause a node shortly",
    weight: 2,
    lastsMs: { from: 50, to: 350 },
    suits: isAlways,
    strike: ({ grips }, random) => pause(pick(grips, random)),
  },
  {
    name: "pause a node for long",
    weight: 2,
    lastsMs: { from: 800, to: 4000 },
    suits: isAlways,
    strike: ({ grips }, random) => pause(pick(grips, random)),
  },
  {
    name: "pause the leader",
    weight: 3,
    lastsMs: { from: 300, to: 2500 },
    suits: isAlways,
    strike: async (field, random) => pause(await leaderOrAny(field, random)),
  },
  {
    name: "SIGTERM and a new start",
    weight: 2,
    lastsMs: { from: 0, to: 1500 },
    suits: isAlways,
    strike: ({ grips }: Field, random) => takeDown([pick(grips, random)], "stop"),
  },
];

async function takeDown(grips: readonly NodeGrip[], how: "kill" | "stop" = "kill"): Promise<Undo> {
  await Promise.all(grips.map((grip) => grip.takeDown(how)));
  return () => {
    for (const grip of grips) grip.letUp();
  };
}

function pause(grip: NodeGrip): Undo {
  grip.pause();
  return () => grip.resume();
}

function some(grips: readonly NodeGrip[], count: number, random: Random): readonly NodeGrip[] {
  return shuffled(grips, random).slice(0, count);
}
