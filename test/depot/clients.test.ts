import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readClient } from "../../node/catalog/tables.ts";
import { DepotCluster, someBytes } from "../support/depot-cluster.ts";

let cluster: DepotCluster;
before(async () => {
  cluster = await DepotCluster.start({ nodes: 3, reconciling: false });
});
after(() => cluster.stop());

test("Clients: a new client is known on every node by its secret, and its counters begin at nothing", async () => {
  const { client, secret } = await cluster.node(0).depot.registerClient("camera");
  assert.equal(client.label, "camera");
  assert.deepEqual([client.files, client.bytes, client.replicaBytes], [0, 0, 0]);
  for (const { depot } of cluster.nodes) assert.deepEqual(await depot.authenticate(client.clientId, secret), client);
});

test("Clients: the secret has 256 bits, and only its sha256 is in the catalog", async () => {
  const { client, secret } = await cluster.node(0).depot.registerClient(undefined);
  assert.equal(Buffer.from(secret, "base64url").length, 32);
  const stored = readClient(cluster.node(1).replication.catalog, client.clientId);
  assert.ok(!JSON.stringify(stored).includes(secret));
});

test("Clients: an unknown id, no id at all, a wrong secret and none get the same answer", async () => {
  const { depot } = cluster.node(0);
  const answers = [];
  const attempts = [
    [cluster.client, `${cluster.secret}x`],
    [cluster.client, ""],
    ["00000000-0000-4000-8000-000000000000", cluster.secret],
    ["00000000-0000-4000-8000-000000000000", ""],
    ["no uuid", cluster.secret],
  ] as const;
  for (const [clientId, secret] of attempts) {
    answers.push(
      await depot.authenticate(clientId, secret).then(
        () => assert.fail("authenticated"),
        ({ code, message }) => ({ code, message }),
      ),
    );
  }
  assert.equal(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1);
  assert.equal(answers[0]?.code, "unauthenticated");
});

test("Clients: a rotated secret ends on every node with the answer, and the new one holds", async () => {
  const { client, secret } = await cluster.node(0).depot.registerClient(undefined);
  const { secret: next } = await cluster.node(1).depot.rotateSecret(client.clientId);
  for (const { depot } of cluster.nodes) {
    await assert.rejects(depot.authenticate(client.clientId, secret), { code: "unauthenticated" });
    assert.equal((await depot.authenticate(client.clientId, next)).clientId, client.clientId);
  }
});

test("Clients: a node that cannot reach a majority authenticates no one, for the secret may be revoked", async () => {
  cluster.node(2).replication.isCut = true;
  await assert.rejects(cluster.node(2).depot.authenticate(cluster.client, cluster.secret), { code: "no-quorum" });
  cluster.node(2).replication.isCut = false;
});

test("Clients: one request passes one barrier, in authenticate", async () => {
  await cluster.deposit(0, "one-barrier", someBytes(10));
  const { depot, replication } = cluster.node(0);
  const before = replication.barriers;
  await depot.authenticate(cluster.client, cluster.secret);
  await cluster.retrieve(0, "one-barrier");
  assert.equal(replication.barriers, before + 1);
});

test("Clients: files, bytes and replica bytes follow what the client deposits", async () => {
  const { client, secret } = await cluster.node(0).depot.registerClient(undefined);
  await cluster.deposit(0, "a", someBytes(100), { clientId: client.clientId, replicas: 3 });
  await cluster.deposit(1, "b", someBytes(10), { clientId: client.clientId, replicas: 1 });
  const { files, bytes, replicaBytes } = await cluster.node(2).depot.authenticate(client.clientId, secret);
  assert.deepEqual([files, bytes, replicaBytes], [2, 110, 310]);
});
