import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { parseFileName } from "../../node/catalog/names.ts";
import { recordTag } from "../../node/catalog/preconditions.ts";
import type { EditRequest } from "../../node/depot/types.ts";
import { DepotCluster, noPreconditions, someBytes } from "../support/depot-cluster.ts";

let cluster: DepotCluster;
before(async () => {
  cluster = await DepotCluster.start({ nodes: 4, reconciling: false });
});
after(() => cluster.stop());

function edit(name: string, more: Partial<EditRequest>) {
  return cluster.node(1).depot.edit({
    clientId: cluster.client,
    name: parseFileName(name),
    replicas: undefined,
    contentType: undefined,
    preconditions: noPreconditions,
    ...more,
  });
}

test("Edit: a raised count names live nodes with room before silent ones", async () => {
  const { record } = await cluster.deposit(0, "raised", someBytes(100), { replicas: 1 });
  const others = cluster.ids.filter((id) => id !== record.holders[0]?.node);
  const silent = others[0] ?? assert.fail("no other node");
  cluster.takeDown(cluster.ids.indexOf(silent));
  const door = cluster.ids.findIndex((id) => !cluster.isDown(id));
  const edited = await cluster.node(door).depot.edit({
    clientId: cluster.client,
    name: parseFileName("raised"),
    replicas: 3,
    contentType: undefined,
    preconditions: noPreconditions,
  });
  cluster.bringBack(cluster.ids.indexOf(silent));
  const missing = edited.holders.filter(({ state }) => state === "missing").map(({ node }) => node);
  assert.deepEqual(missing.sort(), others.filter((id) => id !== silent).sort());
  assert.ok(edited.version > record.version);
});

test("Edit: the content type changes alone, and the bytes keep their blob", async () => {
  const { record } = await cluster.deposit(0, "typed", someBytes(100), { contentType: "text/plain" });
  const edited = await edit("typed", { contentType: "text/html" });
  assert.equal(edited.contentType, "text/html");
  assert.deepEqual(edited.blob, record.blob);
  assert.deepEqual(edited.holders, record.holders);
});

test("Edit: an edit that changes nothing leaves the version as it is", async () => {
  const { record } = await cluster.deposit(0, "same", someBytes(100), { replicas: 2 });
  assert.deepEqual(await edit("same", { replicas: 2 }), record);
});

test("Edit: a count changes only as it was seen", async () => {
  const { record } = await cluster.deposit(0, "seen", someBytes(100), { replicas: 2 });
  const ifMatch = { type: "tags", tags: [recordTag(record.version)] } as const;
  const preconditions = { ifMatch, ifNoneMatch: undefined };
  await edit("seen", { replicas: 1, preconditions });
  await assert.rejects(edit("seen", { replicas: 2, preconditions }), { code: "precondition-failed" });
});

test("Edit: a count out of range and a name without a file are refused", async () => {
  await cluster.deposit(0, "ranged", someBytes(100));
  for (const replicas of [0, 5, 1.5]) {
    await assert.rejects(edit("ranged", { replicas }), { code: "replicas-out-of-range", message: /1 to 4/ });
  }
  await assert.rejects(edit("nothing", { replicas: 1 }), { code: "file-not-found" });
});

test("Edit: without a majority nothing is edited", async () => {
  await cluster.deposit(0, "cut", someBytes(100), { replicas: 1 });
  cluster.node(1).replication.isCut = true;
  await assert.rejects(edit("cut", { replicas: 2 }), { code: "no-quorum" });
  cluster.node(1).replication.isCut = false;
  cluster.node(1).replication.catchUp();
  assert.equal((await cluster.record(0, "cut")).replicas, 1);
});
