import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ApiClient } from "../support/api-client.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { type SampleFile, sampleFiles } from "../support/random-files.ts";

const nodes = ["n1", "n2", "n3"] as const;

/** Deposits the files through the nodes in turn, and checks each answer. */
async function depositAll(client: ApiClient, files: readonly SampleFile[]): Promise<void> {
  for (const [index, { name, bytes, replicas, sha256 }] of files.entries()) {
    const reply = await client.deposit(nodes[index % 3] ?? "n1", name, bytes, { replicas, limitMs: 60_000 });
    assert.equal(reply.status, 201, `${name}: ${reply.bytes.toString()}`);
    const { record } = reply;
    assert.deepEqual(
      { outcome: record.outcome, size: record.size, sha256: record.sha256, replicas: record.replicas },
      { outcome: "created", size: bytes.length, sha256, replicas },
    );
    assert.equal(record.placement.filter(({ state }) => state === "present").length, replicas);
  }
}

/** Every file, bit for bit, from every node; and exactly as many intact replicas on disk as wanted. */
async function checkAll(cluster: Cluster, client: ApiClient, files: readonly SampleFile[]): Promise<void> {
  const onDisk = [...cluster.allReplicasOnDisk().values()].flat();
  for (const { name, bytes, sha256, replicas } of files) {
    for (const node of nodes) {
      const reply = await client.retrieve(node, name, { limitMs: 60_000 });
      assert.equal(reply.status, 200, `${name} from ${node}`);
      assert.ok(reply.bytes.equals(bytes), `${name} from ${node} has other bytes`);
    }
    const copies = onDisk.filter((replica) => replica.sha256 === sha256);
    assert.deepEqual(
      { name, copies: copies.length, intact: copies.every(({ intact }) => intact) },
      { name, copies: replicas, intact: true },
    );
  }
}

describe("Files on a cluster", () => {
  test("100 files of 0 B to 64 MiB come back bit for bit from every node, with exactly their count on disk", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    // An empty file has the same digest everywhere, so only one of them can be counted on disk.
    const files = sampleFiles(100, 3).filter(({ bytes }, index) => bytes.length > 0 || index === 10);
    files.push(
      ...sampleFiles(100 - files.length, 0)
        .map((file, index) => ({ ...file, name: `more/${index}` }))
        .filter(({ bytes }) => bytes.length > 1),
    );
    await depositAll(client, files);
    await checkAll(cluster, client, files);
  });

  test("a count changes by an identical deposit and by an edit, and the disks follow", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const bytes = Buffer.from("the same bytes");
    const { sha256 } = (await client.deposit("n1", "f", bytes, { replicas: 1 })).record;

    const raised = await client.deposit("n2", "f", bytes, { replicas: 3 });
    assert.equal(raised.status, 200);
    assert.equal(raised.record.outcome, "replicas-changed");
    await cluster.waitWhole();
    assert.equal(cluster.replicasOnDisk(sha256).length, 3);

    const lowered = await client.edit("n3", "f", { replicas: 2 });
    assert.equal(lowered.record.replicas, 2);
    await cluster.until("one replica is dropped", 10_000, async () =>
      cluster.replicasOnDisk(sha256).length === 2 ? true : undefined,
    );
    assert.ok((await client.retrieve("n1", "f")).bytes.equals(bytes));

    const repeated = await client.deposit("n1", "f", bytes, { replicas: 2 });
    assert.equal(repeated.record.outcome, "unchanged");
    assert.equal(repeated.record.version, lowered.record.version);
  });

  test("replaced and deleted bytes leave every disk", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const first = (await client.deposit("n1", "f", "first", { replicas: 3 })).record;
    const second = await client.deposit("n2", "f", "second", { replicas: 3 });
    assert.equal(second.record.outcome, "replaced");
    await cluster.until("the first bytes are gone", 10_000, async () =>
      cluster.replicasOnDisk(first.sha256).length === 0 ? true : undefined,
    );
    assert.equal((await client.remove("n3", "f")).status, 204);
    assert.equal((await client.retrieve("n1", "f")).slug, "file-not-found");
    await cluster.until("all bytes are gone", 10_000, async () =>
      [...cluster.allReplicasOnDisk().values()].every((replicas) => replicas.length === 0) ? true : undefined,
    );
  });

  test("a client sees nothing of another's files, whichever way it asks", async (t) => {
    const cluster = await startCluster(t);
    const [owner, stranger] = [await cluster.registerClient(), await cluster.registerClient("n2")];
    await owner.deposit("n1", "private/letter", "mine");
    const missing = await stranger.retrieve("n1", "never/there");
    const foreign = await stranger.retrieve("n1", "private/letter");
    const withoutInstance = (bytes: Buffer) => ({ ...JSON.parse(bytes.toString()), instance: "" });
    assert.deepEqual(withoutInstance(foreign.bytes), withoutInstance(missing.bytes));
    assert.equal((await stranger.record("n2", "private/letter")).slug, "file-not-found");
    assert.equal((await stranger.remove("n3", "private/letter")).slug, "file-not-found");
    assert.deepEqual(((await stranger.list("n2")).json() as { records: unknown[] }).records, []);
    assert.equal((await stranger.deposit("n3", "private/letter", "theirs")).record.outcome, "created");
    assert.equal((await owner.retrieve("n2", "private/letter")).bytes.toString(), "mine");
  });
});
