import { bothWays, type Direction, type Disturbance } from "../support/proxy.ts";
import { between, pick, type Random, shuffled } from "../support/seeded-random.ts";
import { type Fault, type Field, isAlways, leaderOrAny, type Undo } from "./field.ts";
import type { NodeGrip } from "./grips.ts";

const cut: Disturbance = { isCut: true };
const cutLastsMs = { from: 200, to: 4000 };

/** What happens to the ways between nodes: cut, slowed down, reset. Clients reach every node all the time. */
export const networkFaults: readonly Fault[] = [
  {
    name: "cut a node off",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: isAlways,
    strike: ({ cluster, grips }, random) => cluster.network.isolate(pick(grips, random).id),
  },
  {
    name: "cut the leader off",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: isAlways,
    strike: async (field, random) => field.cluster.network.isolate((await leaderOrAny(field, random)).id),
  },
  {
    name: "cut one way",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: isAlways,
    strike: ({ cluster, grips }, random) => cluster.network.cutOneWay(...twoOf(grips, random)),
  },
  {
    name: "nobody hears the leader",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: isAlways,
    strike: async (field, random) => disturb(field, waysFrom(field, await leaderOrAny(field, random)), cut),
  },
  {
    name: "the leader hears nobody",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: isAlways,
    strike: async (field, random) => disturb(field, waysTo(field, await leaderOrAny(field, random)), cut),
  },
  {
    name: "cut between two nodes",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: isAlways,
    strike: ({ cluster, grips }, random) => cluster.network.cut(...twoOf(grips, random)),
  },
  {
    name: "the leader reaches one node only",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: isAlways,
    strike: async (field, random) => {
      const leader = await leaderOrAny(field, random);
      const bridge = pick(othersThan(field, leader), random);
      const cutOff = othersThan(field, leader).filter((grip) => grip !== bridge);
      return disturb(
        field,
        cutOff.flatMap(({ id }) => bothWays(leader.id, id)),
        cut,
      );
    },
  },
  {
    name: "two halves",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: isAlways,
    strike: (field, random) => {
      const [one, other] = halves(shuffled(field.grips, random));
      return disturb(field, waysBetween(one, other), cut);
    },
  },
  {
    name: "two halves and a bridge",
    weight: 2,
    lastsMs: cutLastsMs,
    suits: ({ grips }) => grips.length >= 5,
    strike: (field, random) => {
      const [, ...others] = shuffled(field.grips, random);
      const [one, other] = halves(others);
      return disturb(field, waysBetween(one, other), cut);
    },
  },
  {
    name: "slow one node's ways",
    weight: 2,
    lastsMs: { from: 500, to: 4000 },
    suits: isAlways,
    strike: (field, random) => {
      const grip = pick(field.grips, random);
      return disturb(field, [...waysFrom(field, grip), ...waysTo(field, grip)], slowness(random));
    },
  },
  {
    name: "slow every way",
    weight: 1,
    lastsMs: { from: 500, to: 3000 },
    suits: isAlways,
    strike: (field, random) =>
      disturb(
        field,
        field.grips.flatMap((grip) => waysFrom(field, grip)),
        slowness(random),
      ),
  },
  {
    name: "reset a node's connections",
    weight: 2,
    lastsMs: { from: 0, to: 0 },
    suits: isAlways,
    strike: (field, random) => {
      const grip = pick(field.grips, random);
      for (const { id } of othersThan(field, grip)) field.cluster.network.reset(grip.id, id);
      return () => undefined;
    },
  },
];

function disturb({ cluster }: Field, directions: readonly Direction[], disturbance: Disturbance): Undo {
  return cluster.network.disturb(directions, disturbance);
}

/** From hardly felt to beyond an election timeout. */
function slowness(random: Random): Disturbance {
  return {
    delayMs: between({ from: 2, to: random() < 0.3 ? 600 : 60 }, random),
    jitterMs: between({ from: 0, to: 80 }, random),
  };
}

function twoOf(grips: readonly NodeGrip[], random: Random): Direction {
  const [one, other] = shuffled(grips, random);
  if (one === undefined || other === undefined) throw new RangeError("one node has no ways");
  return [one.id, other.id];
}

function othersThan({ grips }: Field, grip: NodeGrip): readonly NodeGrip[] {
  return grips.filter((other) => other !== grip);
}

function waysFrom(field: Field, grip: NodeGrip): readonly Direction[] {
  return othersThan(field, grip).map(({ id }): Direction => [grip.id, id]);
}

function waysTo(field: Field, grip: NodeGrip): readonly Direction[] {
  return othersThan(field, grip).map(({ id }): Direction => [id, grip.id]);
}

function waysBetween(one: readonly NodeGrip[], other: readonly NodeGrip[]): readonly Direction[] {
  return one.flatMap(({ id }) => other.flatMap((far) => bothWays(id, far.id)));
}

function halves<T>(items: readonly T[]): readonly [readonly T[], readonly T[]] {
  const middle = Math.floor(items.length / 2);
  return [items.slice(0, middle), items.slice(middle)];
}
