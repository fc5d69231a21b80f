import assert from "node:assert/strict";
import { test } from "node:test";
import { DepotCluster, someBytes } from "../support/depot-cluster.ts";

test("Cluster status: members, who is up, and replicas wanted, present and missing; also without a majority", async () => {
  const cluster = await DepotCluster.start({ nodes: 3, reconciling: false });
  try {
    cluster.takeDown(2);
    await cluster.deposit(0, "file", someBytes(100), { replicas: 3 });
    cluster.node(0).replication.isCut = true;
    const status = await cluster.node(0).depot.clusterStatus();
    assert.equal(status.cluster, "depot-tests");
    assert.deepEqual(
      status.nodes.map(({ member, state }) => [member.id, state]),
      [
        ["n1", "up"],
        ["n2", "up"],
        ["n3", "down"],
      ],
    );
    assert.deepEqual(status.totals, { files: 1, bytes: 100, wanted: 3, present: 2, missing: 1, unplaced: 0 });
  } finally {
    await cluster.stop();
  }
});
