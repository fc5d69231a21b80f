import type { NodeId } from "../../../node/base/ids.ts";
import { callDoor } from "../client.ts";
import type { SimulatedNode } from "../simulated-node.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

/** What operators do is no fault, but it comes among faults, at the worst moments. */

export const handOver: Fault = {
  strike(world, lots) {
    const door = lots.pick(world.nodes).id;
    const to = lots.pick(world.nodes).id;
    void callDoor(world, door, (depot) => depot.moveLeadership(to)).then(({ type }) => {
      if (type === "done") world.coverage.count("leadership handed over");
    });
    return () => undefined;
  },
};

/** A blank node is started and added; one that was removed before comes back as blank as that. */
export const addNode: Fault = {
  strike(world, lots) {
    if (!world.plan.changesMembers) return undefined;
    void add(world, lots.pick(world.nodes).id);
    return () => undefined;
  },
};

async function add(world: World, door: NodeId): Promise<void> {
  const members = await membersBy(world, door);
  if (members === undefined || members.length > world.plan.nodes) return;
  const outsider = [world.spare, ...world.nodes].find(({ id }) => !members.includes(id));
  if (outsider === undefined) return;
  if (!outsider.isBlank) beginAnew(world, outsider);
  world.takeIn(outsider);
  outsider.start();
  const { id } = outsider;
  const answer = await callDoor(world, door, (depot) => depot.addMember(id, { host: id, port: 2 }));
  if (answer.type !== "done") return;
  outsider.isBlank = false;
  world.coverage.count("nodes added");
}

/** It was removed: nobody counts on what it knew. */
function beginAnew(world: World, node: SimulatedNode): void {
  node.crash("kill");
  node.replaceDisk();
  world.checks.forget(node.id);
}

/** Never so many that a file could not have the replicas that clients ask for. */
export const removeNode: Fault = {
  strike(world, lots) {
    if (!world.plan.changesMembers) return undefined;
    const door = lots.pick(world.nodes).id;
    const lot = lots.next();
    void remove(world, door, lot);
    return () => undefined;
  },
};

async function remove(world: World, door: NodeId, lot: number): Promise<void> {
  const members = await membersBy(world, door);
  const chosen = members?.[Math.floor(lot * members.length)];
  if (members === undefined || chosen === undefined || members.length <= world.plan.nodes) return;
  const answer = await callDoor(world, door, (depot) => depot.removeMember(chosen, { acceptLoss: false }));
  if (answer.type === "done") world.coverage.count("nodes removed");
}

async function membersBy(world: World, door: NodeId): Promise<readonly NodeId[] | undefined> {
  const answer = await callDoor(world, door, (depot) => depot.clusterStatus());
  return answer.type === "done" ? answer.value.nodes.map(({ member }) => member.id) : undefined;
}
