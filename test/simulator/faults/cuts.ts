import type { NodeId } from "../../../node/base/ids.ts";
import type { Lots } from "../lots.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";
import { leaderOf } from "./processes.ts";

type Way = readonly [from: NodeId, to: NodeId];

function cutting(choose: (world: World, lots: Lots) => readonly Way[]): Fault {
  return {
    strike(world, lots) {
      const ways = choose(world, lots);
      if (ways.length === 0) return undefined;
      const { links } = world.hosts;
      for (const [from, to] of ways) links.cut(from, to);
      return () => {
        for (const [from, to] of ways) links.mend(from, to);
      };
    },
  };
}

function idsOf(world: World): readonly NodeId[] {
  return world.nodes.map(({ id }) => id);
}

function between(some: readonly NodeId[], others: readonly NodeId[]): Way[] {
  return some.flatMap((one) =>
    others.flatMap((other): Way[] =>
      one === other
        ? []
        : [
            [one, other],
            [other, one],
          ],
    ),
  );
}

export const cutOffOne = cutting((world, lots) => between([lots.pick(idsOf(world))], idsOf(world)));

export const cutOffLeader = cutting((world) => {
  const leader = leaderOf(world);
  return leader === undefined ? [] : between([leader.id], idsOf(world));
});

export const cutIntoHalves = cutting((world, lots) => {
  const ids = lots.shuffled(idsOf(world));
  const half = 1 + lots.int(ids.length - 1);
  return between(ids.slice(0, half), ids.slice(half));
});

/** What one node sends, or what it should receive, is lost; the other way stays. */
export const cutOneWay = cutting((world, lots) => {
  const one = lots.pick(idsOf(world));
  const sends = lots.happens(0.5);
  const others = idsOf(world).filter((id) => id !== one && lots.happens(0.7));
  return others.map((other) => (sends ? [one, other] : [other, one]));
});

export const cutOnePair = cutting((world, lots) => {
  const [one, other] = lots.shuffled(idsOf(world));
  return one === undefined || other === undefined ? [] : between([one], [other]);
});

/** One node still reaches everybody; the others are in two camps that only meet in it. */
export const cutButForBridge = cutting((world, lots) => {
  const [, ...ids] = lots.shuffled(idsOf(world));
  const half = Math.ceil(ids.length / 2);
  return between(ids.slice(0, half), ids.slice(half));
});

export const slowNetwork: Fault = {
  strike(world, lots) {
    const { id } = lots.pick(world.nodes);
    world.hosts.links.slow(id, lots.skewed(50));
    return () => world.hosts.links.hasten(id);
  },
};
