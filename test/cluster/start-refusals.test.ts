import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { readiness } from "../../scripts/cluster-api.ts";
import { apiUrl, type ClusterNode, localNodes, newSecrets } from "../../scripts/cluster-file.ts";
import { Cluster, startCluster } from "../support/cluster.ts";
import type { ClusterMember } from "../support/cluster-member.ts";
import { DepositLoad } from "../support/deposit-load.ts";
import { freePorts } from "../support/free-ports.ts";
import { stagedBytes } from "../support/process-facts.ts";
import { type Refusal, refusalOf, serve, temporaryFolder, writeConfig } from "../support/serve.ts";

const secrets = newSecrets();
const nodeIds = ["n1", "n2", "n3"] as const;

/** Nodes on free ports with folders below `folder`. */
async function nodesIn(folder: string, count: number): Promise<readonly ClusterNode[]> {
  const ports = await freePorts(2 * count);
  return localNodes({
    count,
    apiPort: (index) => ports[2 * index] ?? 0,
    peerPort: (index) => ports[2 * index + 1] ?? 0,
    dataDir: (id) => join(folder, id),
  });
}

function assertClear({ code, stderr }: Refusal, ...parts: readonly (string | RegExp)[]): void {
  assert.equal(code, 1, stderr);
  assert.equal(stderr.split("\n").length, 1, `one line, not: ${stderr}`);
  assert.match(stderr, /^deposito: /);
  assert.doesNotMatch(stderr, /\.ts:\d|\bat [\w.]+ \(/, "no stack");
  for (const part of parts) assert.ok(typeof part === "string" ? stderr.includes(part) : part.test(stderr), stderr);
}

function listening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

/** Another program's port for the length of the test. */
async function occupy(t: TestContext, port: number): Promise<void> {
  const server = createServer((socket) => socket.destroy());
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
}

async function until(what: string, ask: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  const giveUpAt = performance.now() + limitMs;
  while (!(await ask())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function empty(dataDir: string): void {
  rmSync(dataDir, { recursive: true });
  mkdirSync(dataDir);
}

describe("Start refusals: one line that says why, and exit code 1", () => {
  test("a wrong configuration: every problem with its path, all at once", async (t) => {
    const folder = temporaryFolder(t);
    const configFile = join(folder, "wrong.json");
    const [node] = await nodesIn(folder, 1);
    const wrong = {
      cluster: "",
      secret: "short",
      defaultReplicas: 0,
      colour: "blue",
      nodes: [node, { ...node, role: "boss", api: { host: "127.0.0.1", port: 70_000 } }],
      limits: { uploadIdleMs: "soon" },
    };
    writeFileSync(configFile, JSON.stringify(wrong));
    const refusal = await refusalOf(t, { id: "n1", configFile, environment: {} });
    const paths = ["cluster", "secret", "adminToken", "defaultReplicas", "colour", "limits.uploadIdleMs"];
    assertClear(refusal, ...paths.map((path) => `${path}: `), "nodes[1].role: ", "nodes[1].api.port: ");
    assert.ok(!refusal.stderr.includes("short"), "a secret is not repeated");
  });

  test("a configuration that is not there, or no JSON", async (t) => {
    const folder = temporaryFolder(t);
    const absent = join(folder, "absent.json");
    assertClear(await refusalOf(t, { id: "n1", configFile: absent, environment: {} }), absent);
    const torn = join(folder, "torn.json");
    writeFileSync(torn, '{ "cluster": ');
    assertClear(await refusalOf(t, { id: "n1", configFile: torn, environment: {} }), torn, "JSON");
  });

  test("a node that the configuration does not name: the line names those it has", async (t) => {
    const folder = temporaryFolder(t);
    const configFile = writeConfig(folder, await nodesIn(folder, 3), secrets);
    for (const id of ["n4", "", "../n1"]) {
      assertClear(await refusalOf(t, { id, configFile, environment: {} }), "n1, n2, n3");
    }
  });

  for (const kind of ["api", "peer"] as const) {
    test(`the ${kind} port belongs to another program, and the group is not founded yet`, async (t) => {
      const folder = temporaryFolder(t);
      const nodes = await nodesIn(folder, 3);
      const port = nodes[0]?.[kind].port ?? 0;
      await occupy(t, port);
      const configFile = writeConfig(folder, nodes, secrets);
      assertClear(await refusalOf(t, { id: "n1", configFile, environment: {} }), String(port), "in use");
    });
  }

  test("foreign files in the data directory: they stay as they are", async (t) => {
    const folder = temporaryFolder(t);
    const nodes = await nodesIn(folder, 1);
    const dataDir = join(folder, "n1");
    mkdirSync(join(dataDir, "holiday"), { recursive: true });
    writeFileSync(join(dataDir, "notes.txt"), "mine");
    const configFile = writeConfig(folder, nodes, secrets);
    assertClear(await refusalOf(t, { id: "n1", configFile, environment: {} }), dataDir, /holiday|notes\.txt/);
    assert.deepEqual(readdirSync(dataDir).sort(), ["holiday", "notes.txt"]);
    assert.equal(readFileSync(join(dataDir, "notes.txt"), "utf8"), "mine");
  });

  test("SIGTERM while it waits for the other seeds: it ends with 0 at once, and can be started again", async (t) => {
    const folder = temporaryFolder(t);
    const nodes = await nodesIn(folder, 3);
    const configFile = writeConfig(folder, nodes, secrets);
    for (let round = 0; round < 2; round++) {
      const node = serve(t, { id: "n1", configFile, environment: {} });
      await until("the peer port is open", () => listening(nodes[0]?.peer.port ?? 0));
      const askedMs = performance.now();
      const exit = await node.stop(10_000);
      assert.deepEqual(exit, { code: 0, signal: null, forced: false }, node.stderr);
      assert.ok(performance.now() - askedMs < 3000, `${performance.now() - askedMs} ms`);
    }
  });
});

describe("A single node", () => {
  test("founds its group, keeps its files over kill -9, and refuses two replicas", async (t) => {
    const cluster = await startCluster(t, { nodes: 1, config: { defaultReplicas: 1 } });
    const client = await cluster.registerClient();
    assert.equal((await client.deposit("n1", "f", "alone")).status, 201);
    assert.equal((await client.deposit("n1", "g", "two", { replicas: 2 })).slug, "replicas-out-of-range");
    await cluster.node("n1").restart();
    await cluster.waitReady();
    assert.equal((await client.retrieve("n1", "f")).bytes.toString(), "alone");
    assert.deepEqual(await cluster.node("n1").stop(), { code: 0, signal: null, forced: false });
  });

  test("a second process on its data directory is refused, whatever its ports or id, and the first lives on", async (t) => {
    const cluster = await startCluster(t, { nodes: 1 });
    const client = await cluster.registerClient();
    const { node, pid } = cluster.node("n1");
    const environment = { ...cluster.secrets };
    assertClear(await refusalOf(t, { id: "n1", configFile: cluster.configFile, environment }));
    const folder = temporaryFolder(t);
    const [elsewhere] = await nodesIn(folder, 1);
    assert.ok(elsewhere !== undefined);
    for (const id of ["n1", "n9"]) {
      const configFile = writeConfig(folder, [{ ...elsewhere, id, dataDir: node.dataDir }], cluster.secrets);
      assertClear(await refusalOf(t, { id, configFile, environment }), node.dataDir);
    }
    assert.equal((await client.deposit("n1", "f", "still here", { replicas: 1 })).status, 201);
    assert.equal(cluster.node("n1").pid, pid);
    await cluster.node("n1").restart();
    await cluster.waitReady();
    assert.equal((await client.retrieve("n1", "f")).bytes.toString(), "still here");
  });

  test("the data directory of another node is refused, and stays as it is", async (t) => {
    const cluster = await startCluster(t, { nodes: 1 });
    const client = await cluster.registerClient();
    await client.deposit("n1", "f", "mine", { replicas: 1 });
    await cluster.node("n1").stop();
    const { node } = cluster.node("n1");
    const configFile = writeConfig(temporaryFolder(t), [{ ...node, id: "n2" }], cluster.secrets);
    assertClear(await refusalOf(t, { id: "n2", configFile, environment: {} }), node.dataDir, "n1");
    await cluster.start();
    assert.equal((await client.retrieve("n1", "f")).bytes.toString(), "mine");
  });
});

/** The same folders, secrets and name on other ports: of all nodes, or of one. */
async function onOtherPorts(t: TestContext, cluster: Cluster, moved: (id: string) => boolean): Promise<Cluster> {
  const other = await Cluster.create({
    nodes: cluster.members.length,
    secrets: cluster.secrets,
    shape: (fresh) => fresh.map((node, index) => movedNode(node, cluster.node(index), moved)),
  });
  t.after(() => other.close());
  return other;
}

function movedNode(fresh: ClusterNode, { node }: ClusterMember, moved: (id: string) => boolean): ClusterNode {
  return moved(node.id) ? { ...node, api: fresh.api, peer: fresh.peer } : node;
}

describe("A node of a group of three", () => {
  test("with an emptied data directory refuses, before and after its peers are there, and never votes", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    await client.deposit("n1", "f", "kept", { replicas: 3 });
    const emptied = [cluster.node("n2"), cluster.node("n3")];
    await Promise.all(cluster.members.map((member) => member.kill()));
    for (const member of emptied) {
      empty(member.dataDir);
      member.start();
      member.expectEnd();
    }
    // The two of them would be a majority, if an emptied node could vote or found.
    await until("both peer ports are open", async () =>
      (await Promise.all(emptied.map(({ node }) => listening(node.peer.port)))).every(Boolean),
    );
    for (const { api } of emptied) assert.equal((await readiness(api)).ready, false);
    cluster.node("n1").start();
    for (const member of emptied) {
      assertClear({ ...(await member.exited), stderr: member.stderr }, member.id);
    }
    const reply = await client.deposit("n1", "g", "no majority");
    assert.equal(reply.slug, "no-quorum");
    for (const member of emptied) {
      member.start();
      member.expectEnd();
      assertClear({ ...(await member.exited), stderr: member.stderr }, member.id);
    }
    assert.equal((await readiness(cluster.node("n1").api)).ready, false);
  });

  test("with another cluster secret never joins, disturbs nobody, and joins once it has the right one", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const { term } = (await cluster.status()) ?? { term: -1 };
    const stranger = cluster.node("n3");
    await stranger.kill();
    const { DEPOSITO_ADMIN_TOKEN } = cluster.secrets;
    const environment = { DEPOSITO_ADMIN_TOKEN, DEPOSITO_SECRET: "another secret of 16 and more" };
    const wrong = serve(t, { id: "n3", configFile: cluster.configFile, environment });
    await until("it listens, or has ended", async () => !wrong.isRunning || (await listening(stranger.node.peer.port)));
    await cluster.waitForLeader(stranger);
    const deposits = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        client.deposit(index % 2 === 0 ? "n1" : "n2", `f${index}`, "bytes", { replicas: 3 }),
      ),
    );
    for (const { record } of deposits) {
      assert.deepEqual(record.placement.find(({ node }) => node === "n3")?.state, "missing");
    }
    assert.equal((await readiness(apiUrl(stranger.node))).ready, false);
    assert.ok(((await cluster.status())?.term ?? 0) <= term + 1, "it forces no elections");
    wrong.signal("SIGKILL");
    await wrong.exited;
    stranger.start();
    await cluster.waitReady();
    await cluster.waitWhole();
    assert.equal((await client.retrieve("n3", "f1")).bytes.toString(), "bytes");
  });

  test("serves on other ports once every node has read them from the configuration: all at once, or one by one", async (t) => {
    const cluster = await startCluster(t);
    const { credentials } = await cluster.registerClient();
    await cluster.clientOf(credentials).deposit("n1", "f", "moved", { replicas: 3 });
    await Promise.all(cluster.members.map((member) => member.stop()));
    const second = await onOtherPorts(t, cluster, () => true);
    await second.start();
    const client = second.clientOf(credentials);
    for (const node of nodeIds) assert.equal((await client.retrieve(node, "f")).bytes.toString(), "moved", node);

    const third = await onOtherPorts(t, second, (id) => id === "n3");
    const [moved, ...others] = [third.node("n3"), third.node("n1"), third.node("n2")];
    await second.node("n3").stop();
    moved.start();
    for (const other of others) {
      const { record } = await client.deposit(other.id, `while ${other.id} moves`, "bytes", { replicas: 2 });
      assert.equal(record.outcome, "created");
      await second.node(other.id).stop();
      other.start();
      await third.waitReady([other]); // the moved one hears of a leader only once that one knows where it went
    }
    await third.waitReady(third.members);
    const { record } = await third.clientOf(credentials).deposit("n3", "g", "through the moved node", { replicas: 3 });
    await third.waitWhole();
    assert.equal(third.replicasOnDisk(record.sha256).length, 3);
    assert.equal((await third.clientOf(credentials).retrieve("n1", "while n2 moves")).bytes.toString(), "bytes");
    assert.deepEqual([...second.crashes, ...third.crashes], []);
  });
});

describe("SIGTERM under load", () => {
  test("a node finishes what runs, takes no more, and ends with 0; then all at once: nothing acknowledged is lost", async (t) => {
    const cluster = await startCluster(t);
    const client = await cluster.registerClient();
    const load = new DepositLoad({ client, nodes: nodeIds, writers: 6, replicas: 2, sizeBytes: 2000 });
    t.after(() => load.stop());
    const leader = await cluster.waitForLeader();
    const follower = cluster.members.find((member) => member !== leader) ?? cluster.node(0);

    const opened = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const slow = client.deposit(follower.id, "slow", slowBody(opened, asked.promise), { replicas: 3, limitMs: 30_000 });
    await opened.promise;
    await until("the node has begun to take it", async () =>
      cluster.members.some(({ dataDir }) => stagedBytes(dataDir).some((sizeBytes) => sizeBytes > 100_000)),
    );
    const ending = follower.stop();
    await until("it takes no new connection", async () => !(await listening(follower.node.api.port)));
    asked.resolve();
    const reply = await slow;
    assert.equal(reply.status, 201, reply.bytes.toString());
    assert.equal((await ending).code, 0);
    follower.start();
    await cluster.waitReady();

    await cluster.until("200 deposits", 60_000, async () => (load.acknowledged.size >= 200 ? true : undefined));
    const exits = await Promise.all(cluster.members.map((member) => member.stop()));
    await load.stop();
    assert.deepEqual(
      exits.map(({ code }) => code),
      [0, 0, 0],
    );
    await cluster.start();
    t.diagnostic(`${load.acknowledged.size} acknowledged, ${load.failed} not`);
    for (const node of nodeIds) assert.deepEqual(await load.lostFrom(node), [], `lost from ${node}`);
    assert.equal((await client.retrieve("n1", "slow")).bytes.length, 2 * 300_000);
  });
});

/** Half of the bytes, then the rest once `go` says so. */
async function* slowBody(opened: PromiseWithResolvers<void>, go: Promise<void>): AsyncGenerator<Buffer> {
  yield Buffer.alloc(300_000, 1);
  opened.resolve();
  await go;
  yield Buffer.alloc(300_000, 2);
}

describe("Five nodes, two of which only store", () => {
  test("five replicas; storing nodes are no majority, voters without them are", async (t) => {
    const cluster = await startCluster(t, {
      nodes: 5,
      shape: (nodes) => nodes.map((node, index) => ({ ...node, role: index < 3 ? "voter" : "storage" })),
    });
    const client = await cluster.registerClient("n5");
    const { record } = await client.deposit("n4", "f", "everywhere", { replicas: 5 });
    assert.ok(record.placement.every(({ state }) => state === "present"));
    assert.deepEqual(cluster.replicasOnDisk(record.sha256), ["n1", "n2", "n3", "n4", "n5"]);
    assert.equal((await client.deposit("n1", "g", "six", { replicas: 6 })).slug, "replicas-out-of-range");

    await Promise.all([cluster.node("n4").kill(), cluster.node("n5").kill()]);
    assert.equal((await client.deposit("n1", "g", "voters only", { replicas: 3 })).status, 201);
    await cluster.node("n3").kill();
    assert.equal((await client.deposit("n2", "h", "two voters", { replicas: 2, limitMs: 30_000 })).status, 201);
    for (const id of ["n4", "n5"]) cluster.node(id).start();
    await cluster.waitReady();
    assert.equal((await client.retrieve("n5", "h")).bytes.toString(), "two voters");

    await cluster.node("n2").kill();
    assert.equal((await client.deposit("n4", "i", "three live nodes, one voter")).slug, "no-quorum");
    for (const id of ["n2", "n3"]) cluster.node(id).start();
    await cluster.waitReady();
    await cluster.waitWhole();
    assert.equal((await client.retrieve("n4", "g")).bytes.toString(), "voters only");
    assert.equal((await client.retrieve("n3", "i")).slug, "file-not-found");
  });
});
