import type { Lots } from "../lots.ts";
import { capacityBytes, type SimulatedNode } from "../simulated-node.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

export const fillDisk: Fault = {
  strike(_world, lots) {
    const node = lots.pick(_world.nodes);
    node.disk.fill(lots.pick([0, 2000, 20_000, 80_000]));
    return () => {
      node.disk.capacityBytes = capacityBytes;
      node.start();
    };
  },
};

export const slowDisk: Fault = {
  strike(world, lots) {
    const node = lots.pick(world.nodes);
    const nodes = lots.happens(0.3) ? world.nodes : [node];
    for (const { disk } of nodes) disk.slowDown(lots.skewed(30));
    return () => {
      for (const { disk } of nodes) disk.slowDown(1);
    };
  },
};

/**
 * One sync fails; the process notices, and is started again when the fault is undone. What the sync was for is still read
 * back from the cache, and no later sync writes it: so this is damage as well, that only a power cut shows.
 */
export const failSync: Fault = {
  strike(world, lots) {
    const node = world.damagedNodes.choose(lots);
    if (node?.life === undefined) return undefined;
    node.isDamaged = true;
    node.disk.failNextSync(lots.pick(["", "/log-", "/catalog-", "/hard-state", "/blobs", "/stage"]));
    return () => {
      node.disk.clearFaults();
      node.start();
    };
  },
};

/**
 * Damages what lies on the disk of one node. Only a minority of the nodes ever has a bad disk in one world, since no more
 * is promised: two bad disks of three may both have held what was acknowledged.
 */
function damaging(damage: (node: SimulatedNode, lots: Lots) => boolean): Fault {
  return {
    strike(world, lots) {
      const node = world.damagedNodes.choose(lots);
      if (node === undefined || !damage(node, lots)) return undefined;
      node.isDamaged = true;
      return () => node.start();
    },
  };
}

function flipping(part: string): (node: SimulatedNode, lots: Lots) => boolean {
  return ({ disk }, lots) => {
    const targets = disk.contents().filter(({ path, places }) => path.includes(part) && places > 0);
    if (targets.length === 0) return false;
    const { path, places } = lots.pick(targets);
    return disk.flip(path, lots.int(places), lots.int(1 << 16));
  };
}

export const flipBlob = damaging(flipping("/blobs/"));
export const flipLog = damaging(flipping("/log-"));
export const flipCatalog = damaging(flipping("/catalog-"));
export const flipHardState = damaging(flipping("/hard-state"));

export const misdirectWrite = damaging(({ disk }, lots) => {
  disk.misdirectNextWrite(lots.pick(["/stage/", "/hard-state"]));
  return true;
});

/** The directory is emptied while the process is down: its peers must not take what comes back for the node they knew. */
export const emptyDirectory: Fault = {
  strike(world, lots) {
    const node = world.damagedNodes.choose(lots);
    if (node === undefined) return undefined;
    node.crash("kill");
    node.emptyDisk();
    return () => node.start();
  },
};

/** Which nodes may lose what they hold: the same ones all along, and never a majority. */
export class DamagedNodes {
  readonly #candidates: readonly SimulatedNode[];

  constructor(world: Pick<World, "nodes">, lots: Lots) {
    this.#candidates = lots.shuffled(world.nodes).slice(0, Math.floor((world.nodes.length - 1) / 2));
  }

  choose(lots: Lots): SimulatedNode | undefined {
    return this.#candidates.length === 0 ? undefined : lots.pick(this.#candidates);
  }

  includes(node: SimulatedNode): boolean {
    return this.#candidates.includes(node);
  }
}
