import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { parseFileName } from "../../node/catalog/names.ts";
import { fileTag } from "../../node/catalog/preconditions.ts";
import type { Preconditions } from "../../node/catalog/types.ts";
import { DepotCluster, noPreconditions, someBytes } from "../support/depot-cluster.ts";

let cluster: DepotCluster;
before(async () => {
  cluster = await DepotCluster.start({ nodes: 3, reconciling: false });
});
after(() => cluster.stop());

function remove(name: string, preconditions: Preconditions = noPreconditions) {
  return cluster.node(2).depot.remove(cluster.client, parseFileName(name), preconditions);
}

test("Remove: a removed file is gone on every node", async () => {
  await cluster.deposit(0, "gone", someBytes(100));
  await remove("gone");
  for (const at of [0, 1, 2]) await assert.rejects(cluster.retrieve(at, "gone"), { code: "file-not-found" });
});

test("Remove: a name without a file is refused, the second time too", async () => {
  await assert.rejects(remove("never"), { code: "file-not-found" });
  await cluster.deposit(0, "twice", someBytes(100));
  await remove("twice");
  await assert.rejects(remove("twice"), { code: "file-not-found" });
});

test("Remove: a file is removed only as it was seen", async () => {
  const { record } = await cluster.deposit(0, "seen", someBytes(100));
  const ifMatch = { type: "tags", tags: [fileTag(record.blob.sha256)] } as const;
  await cluster.deposit(0, "seen", someBytes(101));
  await assert.rejects(remove("seen", { ifMatch, ifNoneMatch: undefined }), { code: "precondition-failed" });
  await cluster.retrieve(0, "seen");
});

test("Remove: another client's file of that name stays", async () => {
  await cluster.deposit(0, "shared-name", someBytes(100));
  const { client } = await cluster.node(0).depot.registerClient(undefined);
  const removal = cluster.node(0).depot.remove(client.clientId, parseFileName("shared-name"), noPreconditions);
  await assert.rejects(removal, { code: "file-not-found" });
  await cluster.retrieve(0, "shared-name");
});
