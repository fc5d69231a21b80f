import type { NodeId } from "../../../node/base/ids.ts";
import type { Lots } from "../lots.ts";
import type { SimulatedNode } from "../simulated-node.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

/** The node that leads as far as the doors tell, the newest term deciding. */
export function leaderOf(world: World): SimulatedNode | undefined {
  let newest: { readonly term: number; readonly id: NodeId } | undefined;
  for (const [id, { options }] of world.hosts.doors) {
    const { role, term } = options.replication.raft();
    if (role === "leader" && (newest === undefined || term > newest.term)) newest = { term, id };
  }
  return newest && world.node(newest.id);
}

function killing(
  choose: (world: World, lots: Lots) => readonly SimulatedNode[],
  how: "kill" | "power-cut" = "kill",
): Fault {
  return {
    strike(world, lots) {
      const nodes = choose(world, lots).filter(({ life }) => life !== undefined);
      if (nodes.length === 0) return undefined;
      for (const node of nodes) node.crash(how);
      return () => {
        for (const node of nodes) node.start();
      };
    },
  };
}

export const killOne = killing((world, lots) => [lots.pick(world.nodes)]);
export const killSeveral = killing((world, lots) =>
  lots.shuffled(world.nodes).slice(0, 1 + lots.int(world.nodes.length - 1)),
);
export const killAll = killing((world) => world.nodes);
export const losePowerOnOne = killing((world, lots) => [lots.pick(world.nodes)], "power-cut");
export const losePowerOnAll = killing((world) => world.nodes, "power-cut");
export const killLeader = killing((world) => {
  const leader = leaderOf(world);
  return leader === undefined ? [] : [leader];
});

export const stopInOrder: Fault = {
  strike(world, lots) {
    const node = lots.pick(world.nodes);
    if (node.life === undefined) return undefined;
    node.stop();
    return () => {
      // Whatever it still waits for, whoever stops it does not wait for ever.
      node.crash("kill");
      node.start();
    };
  },
};

function pausing(choose: (world: World, lots: Lots) => SimulatedNode | undefined): Fault {
  return {
    strike(world, lots) {
      const life = choose(world, lots)?.life;
      if (life === undefined || life.isPaused) return undefined;
      life.pause();
      return () => life.resume();
    },
  };
}

export const pauseOne = pausing((world, lots) => lots.pick(world.nodes));
export const pauseLeader = pausing((world) => leaderOf(world));

export const pauseForLong: Fault = {
  strike(world, lots) {
    const { life } = lots.pick(world.nodes);
    if (life === undefined || life.isPaused) return undefined;
    life.pause();
    const lastsMs = lots.between(3000, 12_000);
    return () => world.timeline.after(lastsMs, () => life.resume());
  },
};
