import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { bearer, readiness } from "../../scripts/cluster-api.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import type { ClusterMember } from "../support/cluster-member.ts";
import { DepositLoad } from "../support/deposit-load.ts";

const limitMs = 30_000;

/** What the cluster says a node is; `removed` where it does not list it. */
async function membership(cluster: Cluster, id: string): Promise<string | undefined> {
  const status = await cluster.status();
  return status && (status.nodes.find((node) => node.id === id)?.membership ?? "removed");
}

async function becomes(cluster: Cluster, id: string, wanted: string): Promise<void> {
  let seen: string | undefined;
  await cluster.until(
    `${id} is ${wanted}`,
    limitMs,
    async () => {
      seen = await membership(cluster, id);
      return seen === wanted ? true : undefined;
    },
    () => `it is ${seen}`,
  );
}

/** Waits until the blank node asks to be added. */
async function asksToBeAdded(cluster: Cluster, member: ClusterMember): Promise<string> {
  const line = () => member.logLines(3).find((each) => each.includes("POST /v1/cluster/nodes"));
  return cluster.until(`${member.id} says how to add it`, limitMs, async () => line());
}

function add(cluster: Cluster, through: string, { id, node }: ClusterMember) {
  return cluster.operate(through, "POST", "/v1/cluster/nodes", { id, peer: node.peer });
}

function remove(cluster: Cluster, through: string, id: string) {
  return cluster.operate(through, "DELETE", `/v1/cluster/nodes/${id}`);
}

function slugOf({ body }: { readonly body: unknown }): string {
  return (body as { readonly type: string }).type.replace("/problems/", "");
}

/** It ended by itself, with one line that says why. */
async function endsAsRemoved(member: ClusterMember): Promise<void> {
  const { code } = await member.exited;
  assert.equal(code, 1, member.stderr);
  assert.match(member.stderr, new RegExp(`^deposito: node ${member.id} was removed from the cluster test: [^\\n]*$`));
}

async function termOf(cluster: Cluster): Promise<number> {
  const status = await cluster.status();
  assert.ok(status);
  return status.term;
}

/** Everything one node's event stream tells, as text. */
function follow(t: TestContext, cluster: Cluster, through: string): { text: string } {
  const seen = { text: "" };
  const stop = new AbortController();
  t.after(() => stop.abort());
  const reading = (async () => {
    const headers = { authorization: bearer(cluster.secrets) };
    const reply = await fetch(`${cluster.node(through).api}/v1/cluster/events`, { headers, signal: stop.signal });
    for await (const chunk of reply.body ?? []) seen.text += Buffer.from(chunk).toString();
  })();
  reading.catch(() => undefined); // it ends with the test, or with the node
  return seen;
}

describe("Membership", () => {
  test("a group grows from three to five while deposits go on, and shrinks by its leader; nothing is lost", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const events = follow(t, cluster, "n1");
    const load = new DepositLoad({ client, nodes: ["n1", "n2", "n3"], writers: 2, replicas: 2, sizeBytes: 2000 });
    t.after(() => load.stop());
    const [n4, n5] = [await cluster.newcomer("n4"), await cluster.newcomer("n5", "voter")];
    assert.equal(slugOf(await add(cluster, "n1", n4)), "node-unreachable");
    for (const member of [n4, n5]) member.start();
    assert.match(await asksToBeAdded(cluster, n4), /\\"id\\":\\"n4\\"/);
    assert.match((await readiness(n4.api)).reasons, /not in the group yet: add this node/);
    await asksToBeAdded(cluster, n5);
    const wrong = await cluster.operate("n1", "POST", "/v1/cluster/nodes", { id: "n6", peer: n5.node.peer });
    assert.equal(slugOf(wrong), "node-mismatch");

    assert.deepEqual(await add(cluster, "n1", n4), { status: 202, body: { id: "n4", membership: "learner" } });
    const busy = await add(cluster, "n2", n5);
    if (busy.status === 409) assert.equal(slugOf(busy), "node-busy");
    else assert.equal((await membership(cluster, "n4")) ?? "", "voter", "it was that quick");
    await becomes(cluster, "n4", "voter");
    if (busy.status === 409) assert.equal((await add(cluster, "n2", n5)).status, 202);
    await becomes(cluster, "n5", "voter");
    await cluster.waitReady();
    assert.equal(slugOf(await add(cluster, "n3", n5)), "already-a-member");
    assert.match(n4.logLines(1000).join("\n"), /snapshot received/);

    assert.deepEqual(await cluster.operate("n1", "POST", "/v1/cluster/leader", { to: "n5" }), {
      status: 200,
      body: { leader: "n5", term: await termOf(cluster) },
    });
    n5.expectEnd();
    assert.deepEqual(await remove(cluster, "n2", "n5"), { status: 202, body: { id: "n5", membership: "leaving" } });
    await endsAsRemoved(n5);
    await becomes(cluster, "n5", "removed");
    const before = load.acknowledged.size;
    await cluster.until("deposits go on", limitMs, async () =>
      load.acknowledged.size > before + 20 ? true : undefined,
    );
    await load.stop();
    await cluster.waitWhole();
    t.diagnostic(`${load.acknowledged.size} acknowledged, ${load.failed} not`);
    for (const node of ["n1", "n4"]) assert.deepEqual(await load.lostFrom(node), [], `lost from ${node}`);
    for (const [event, data] of [
      ["member", { id: "n4", membership: "learner" }],
      ["member", { id: "n4", membership: "voter" }],
      ["node", { id: "n5", state: "up" }],
      ["leader", { leader: "n5" }],
      ["member", { id: "n5", membership: "leaving" }],
      ["member", { id: "n5", membership: "removed" }],
    ] as const)
      assert.ok(events.text.includes(`event: ${event}\ndata: ${JSON.stringify(data).slice(0, -1)}`), events.text);
  });

  test("a dead node is replaced by another one; its id comes back only as a new node, and its former life never", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const bytes = randomBytes(5000);
    for (const replicas of [2, 3]) await client.deposit("n1", `r${replicas}`, bytes, { replicas });
    const leader = await cluster.waitForLeader();
    const dead = cluster.members.find((member) => member !== leader) as ClusterMember;
    const term = await termOf(cluster);
    await dead.kill();
    await cluster.until("it is missed", limitMs, async () =>
      (await cluster.status())?.nodes.some(({ id, state }) => id === dead.id && state === "down") ? true : undefined,
    );
    assert.equal((await remove(cluster, leader.id, dead.id)).status, 202);
    await becomes(cluster, dead.id, "removed");
    assert.equal(slugOf(await remove(cluster, leader.id, dead.id)), "node-not-found");
    assert.equal((await client.deposit(leader.id, "r4", bytes, { replicas: 3 })).slug, "replicas-out-of-range");

    const n4 = await cluster.newcomer("n4");
    n4.start();
    await asksToBeAdded(cluster, n4);
    assert.equal((await add(cluster, leader.id, n4)).status, 202);
    await becomes(cluster, "n4", "voter");
    await cluster.waitWhole();
    assert.equal((await client.record("n4", "r3")).record.placement.length, 3);
    assert.ok((await client.retrieve("n4", "r3")).bytes.equals(bytes));

    // As it was, it is told that it was removed, as often as it is started.
    dead.start();
    dead.expectEnd();
    await endsAsRemoved(dead);
    const former = join(cluster.folder, "former");
    renameSync(dead.dataDir, former);
    dead.start();
    await asksToBeAdded(cluster, dead);
    assert.equal((await add(cluster, "n4", dead)).status, 202);
    await becomes(cluster, dead.id, "voter");
    await cluster.waitReady();
    await dead.kill();
    rmSync(dead.dataDir, { recursive: true });
    renameSync(former, dead.dataDir);
    dead.start();
    dead.expectEnd();
    await endsAsRemoved(dead);
    assert.equal(await termOf(cluster), term, "no election in all of this");
  });

  test("a lost data directory is refused until the node is removed, and is a new node then", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    await client.deposit("n1", "f", "kept", { replicas: 3 });
    const leader = await cluster.waitForLeader();
    const emptied = cluster.members.find((member) => member !== leader) as ClusterMember;
    await emptied.kill();
    for (const name of readdirSync(emptied.dataDir)) rmSync(join(emptied.dataDir, name), { recursive: true });
    emptied.start();
    emptied.expectEnd();
    assert.equal((await emptied.exited).code, 1);
    assert.match(emptied.stderr, /new or was emptied.*DELETE \/v1\/cluster\/nodes/);

    assert.equal((await remove(cluster, leader.id, emptied.id)).status, 202);
    await becomes(cluster, emptied.id, "removed");
    emptied.start();
    await asksToBeAdded(cluster, emptied);
    assert.equal((await add(cluster, leader.id, emptied)).status, 202);
    await becomes(cluster, emptied.id, "voter");
    await cluster.waitWhole();
    const other = cluster.members.find((member) => member !== leader && member !== emptied) as ClusterMember;
    await other.kill();
    assert.equal((await client.deposit(emptied.id, "g", "its vote counts", { replicas: 2 })).status, 201);
    assert.equal((await client.retrieve(emptied.id, "f")).bytes.toString(), "kept");
  });

  test("a node that is removed while it sleeps ends when it wakes up, and causes no election", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    await client.deposit("n1", "f", "bytes", { replicas: 2 });
    const leader = await cluster.waitForLeader();
    const asleep = cluster.members.find((member) => member !== leader) as ClusterMember;
    const term = await termOf(cluster);
    asleep.pause();
    assert.equal((await remove(cluster, leader.id, asleep.id)).status, 202);
    await becomes(cluster, asleep.id, "removed");
    asleep.expectEnd();
    asleep.resume();
    await endsAsRemoved(asleep);
    assert.equal(await termOf(cluster), term);
    assert.equal((await client.deposit(leader.id, "g", "two are left", { replicas: 2 })).status, 201);
  });

  test("a node that was away while others came and went finds its way back", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const away = cluster.node("n1");
    await away.stop();
    const [n4, n5] = [await cluster.newcomer("n4"), await cluster.newcomer("n5")];
    for (const member of [n4, n5]) {
      member.start();
      await asksToBeAdded(cluster, member);
      assert.equal((await add(cluster, "n3", member)).status, 202);
      await becomes(cluster, member.id, "voter");
    }
    await cluster.waitAcquainted();
    const removed = cluster.node("n2");
    removed.expectEnd();
    assert.equal((await remove(cluster, "n3", "n2")).status, 202);
    await endsAsRemoved(removed);
    await client.deposit("n4", "f", "while it was away", { replicas: 2 });
    away.start();
    await cluster.waitReady();
    assert.equal((await client.retrieve("n1", "f")).bytes.toString(), "while it was away");
    assert.equal(await membership(cluster, "n1"), "voter");
  });
});
