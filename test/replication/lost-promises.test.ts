import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type NodeId, newClientId } from "../../node/base/ids.ts";
import { readClient } from "../../node/catalog/tables.ts";
import { levelFolder } from "../support/disk-faults.ts";
import { registerClient, temporaryFolder } from "./support/node-disk.ts";
import { ReplicationGroup, type RunningNode } from "./support/replication-group.ts";

const [n1, n2, n3] = ["n1", "n2", "n3"] as [NodeId, NodeId, NodeId];

/** A stopped group whose `lost` nodes have no usable log left, and a client that was acknowledged before. */
async function stoppedGroup(t: TestContext, lost: readonly NodeId[]) {
  const group = await ReplicationGroup.start(t, 3);
  const leader = await group.leader();
  const clientId = newClientId();
  for (let count = 0; count < 30; count++) await leader.replicated.propose(registerClient());
  await leader.replicated.propose(registerClient(clientId));
  await group.caughtUp(leader.id);
  for (const id of group.ids) await group.stop(id);
  for (const id of lost) rmSync(join(levelFolder(group.folderOf(id), "log"), "CURRENT"));
  return { group, clientId };
}

/** Resolves when `voter` has refused so many pre-votes. */
function refusals(group: ReplicationGroup, voter: NodeId, count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = 0;
  group.onWire = (from, _to, frame) => {
    if (frame.type === "raft" && frame.message.type === "pre-vote-response" && from === voter) {
      assert.equal(frame.message.granted, false);
      if (++seen === count) resolve();
    }
    return [0];
  };
  return promise;
}

async function registers(node: RunningNode): Promise<void> {
  assert.equal((await node.replicated.propose(registerClient())).type, "done");
}

describe("a voter whose log lost promised entries, on real stores", () => {
  test("does not help to elect anybody, is refilled by a leader of the others, and counts again", async (t) => {
    const { group, clientId } = await stoppedGroup(t, [n3]);
    const refused = refusals(group, n3, 5);
    await group.startNode(n2);
    const damaged = await group.startNode(n3);
    assert.equal(damaged.replicated.raft().lostPromises, true);
    await refused;
    group.onWire = () => [0];
    assert.equal(group.node(n2).replicated.raft().leader, undefined);

    await group.startNode(n1);
    await group.until("n3 is refilled", () => !damaged.replicated.raft().lostPromises);
    await damaged.replicated.barrier();
    assert.ok(readClient(damaged.replicated.catalog, clientId));
    await group.stop((await group.leader()).id);
    await registers(await group.leader());
  });

  test("is in doubt still when it is restarted before all is refilled, and never again after that", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    await group.stop(n3 === leader.id ? n2 : n3);
    const id = n3 === leader.id ? n2 : n3;
    const earlier = join(temporaryFolder(t), "catalog");
    cpSync(levelFolder(group.folderOf(id), "catalog"), earlier, { recursive: true });
    await group.startNode(id);
    for (let count = 0; count < 30; count++) await registers(leader);
    await group.caughtUp(leader.id);
    await group.stop(id);
    // As after a power cut: the catalog lost its last writes, and the log that has them is gone.
    const catalog = levelFolder(group.folderOf(id), "catalog");
    rmSync(catalog, { recursive: true });
    cpSync(earlier, catalog, { recursive: true });
    rmSync(join(levelFolder(group.folderOf(id), "log"), "CURRENT"));

    // The first entry of what it lacks arrives, and no other.
    const refilling = Promise.withResolvers<void>();
    let from = 0;
    group.onArrival = (to, frame) => {
      if (to !== id || frame.type !== "raft" || frame.message.type !== "append-request") return frame;
      const { entries } = frame.message;
      from ||= entries[0]?.index ?? 0;
      if (entries.length > 0) refilling.resolve();
      return { ...frame, message: { ...frame.message, entries: entries.filter(({ index }) => index === from) } };
    };
    const before = await group.startNode(id);
    await refilling.promise;
    assert.equal(before.replicated.raft().lostPromises, true);
    await group.stop(id);
    const after = await group.startNode(id);
    assert.equal(after.replicated.raft().lostPromises, true, "the disk remembers");
    group.onArrival = (_to, frame) => frame;
    await group.until("it is refilled", () => !after.replicated.raft().lostPromises);
    const clientId = newClientId();
    await leader.replicated.propose(registerClient(clientId));
    await after.replicated.barrier();
    assert.ok(readClient(after.replicated.catalog, clientId));
    await group.stop(id);
    assert.equal((await group.startNode(id)).replicated.raft().lostPromises, false);
  });

  test("and with it a majority: nobody is elected, and every node says so and what to do", async (t) => {
    const { group } = await stoppedGroup(t, [n2, n3]);
    for (const id of group.ids) await group.startNode(id);
    const says = ({ replicated }: RunningNode) => replicated.readiness().reasons.join();
    await group.until("all of them say it", () =>
      group.nodes.every((node) => /nobody can be elected: n2, n3 lost entries.*docs\/operations\.md/.test(says(node))),
    );
    for (const { replicated } of group.nodes) {
      assert.equal(replicated.trouble(), replicated.readiness().reasons[0]);
      assert.equal(replicated.raft().leader, undefined);
    }
  });
});
