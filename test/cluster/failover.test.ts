import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gapsText, measureGap, percentile } from "../campaign/failover.ts";
import { depositForPauses, pauseLeader } from "../campaign/paused-leader.ts";
import { startCluster } from "../support/cluster.ts";
import { DepositLoad } from "../support/deposit-load.ts";

const nodes = ["n1", "n2", "n3"] as const;

describe("Failover", () => {
  test("ten kills of the leader under load: nothing acknowledged is lost, and deposits go on within 1 s (median)", async (t) => {
    const cluster = await startCluster(t, { config: { raft: {} } });
    const client = await cluster.registerClient();
    const load = new DepositLoad({ client, nodes, writers: 6, replicas: 3, sizeBytes: 2000 });
    const gapsMs: number[] = [];
    for (let kill = 0; kill < 10; kill++) gapsMs.push(await measureGap(cluster, load, "kill"));
    await load.stop();
    t.diagnostic(`${gapsText(gapsMs)}: ${gapsMs.map((ms) => Math.round(ms)).join(", ")}`);
    t.diagnostic(`${load.acknowledged.size} acknowledged, ${load.failed} not`);
    await cluster.waitWhole();
    for (const node of nodes) assert.deepEqual(await load.lostFrom(node), [], `lost from ${node}`);
    assert.ok(percentile(gapsMs, 0.5) <= 1000, gapsText(gapsMs));
  });

  test("3 replicas on two live nodes: the deposit succeeds, and becomes whole after the third returns", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    await cluster.node("n3").kill();
    const { record } = await client.deposit("n1", "f", "three of two", { replicas: 3 });
    assert.deepEqual(
      record.placement.map(({ node, state }) => `${node} ${state}`).sort((a, b) => (a < b ? -1 : 1)),
      ["n1 present", "n2 present", "n3 missing"],
    );
    cluster.node("n3").start();
    await cluster.waitWhole();
    assert.deepEqual(cluster.replicasOnDisk(record.sha256), ["n1", "n2", "n3"]);
    const { placement } = (await client.record("n3", "f")).record;
    assert.ok(placement.every(({ state }) => state === "present"));
  });

  test("kill -9 of all nodes at once under load, restart: everything acknowledged is there", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const load = new DepositLoad({ client, nodes, writers: 8, replicas: 2, sizeBytes: 3000 });
    await cluster.until("200 deposits", 60_000, async () => (load.acknowledged.size >= 200 ? true : undefined));
    await Promise.all(cluster.members.map((member) => member.kill()));
    await load.stop();
    await cluster.start();
    t.diagnostic(`${load.acknowledged.size} acknowledged`);
    for (const node of nodes) assert.deepEqual(await load.lostFrom(node), [], `lost from ${node}`);
  });

  test("a graceful stop of the leader hands leadership over and exits with 0; deposits go on within 2 s", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const load = new DepositLoad({ client, nodes, writers: 4, replicas: 2, sizeBytes: 500 });
    const leader = await cluster.waitForLeader();
    const gapMs = await measureGap(cluster, load, "stop");
    t.diagnostic(`next deposit ${Math.round(gapMs)} ms after SIGTERM`);
    await load.stop();
    assert.deepEqual(await load.lostFrom(leader.id), []);
    assert.ok(gapMs <= 2000, `${gapMs} ms`);
  });

  test("a paused leader that wakes up answers no stale read", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    await depositForPauses(client, "n1");
    let answered = 0;
    for (let round = 0; round < 8; round++) {
      const woken = await pauseLeader(cluster, client, round);
      assert.deepEqual(woken.stale, []);
      answered += woken.answered;
    }
    t.diagnostic(`${answered} reads answered`);
    assert.ok(answered > 0, "no read was answered at all");
  });

  test("a minority refuses within its deadline, and says so", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    await client.deposit("n1", "f", "bytes", { replicas: 3 });
    await cluster.node("n2").kill();
    await cluster.node("n3").kill();
    const askedMs = performance.now();
    const replies = await Promise.all([
      client.retrieve("n1", "f"),
      client.deposit("n1", "g", "more"),
      client.list("n1"),
      client.remove("n1", "f"),
    ]);
    assert.deepEqual(
      replies.map(({ slug }) => slug),
      ["no-quorum", "no-quorum", "no-quorum", "no-quorum"],
    );
    assert.ok(replies.every((reply) => reply.header("retry-after") !== undefined));
    assert.ok(performance.now() - askedMs < 8000);
    assert.equal(
      (await client.send("n1", "GET", "/v1/cluster")).status,
      503,
      "even the status needs to know the client",
    );
    assert.equal((await client.send("n1", "GET", "/livez")).status, 200);
  });
});
