import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readiness } from "../../scripts/cluster-api.ts";
import type { ApiClient } from "../support/api-client.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { type Ran, runDeposito } from "../support/run-deposito.ts";

/** A cluster, what was deposited in it, and the commands of an operator. */
class Drill {
  readonly cluster: Cluster;
  readonly client: ApiClient;
  readonly files = new Map<string, { readonly bytes: Buffer; readonly version: number }>();
  readonly file: string;

  constructor(cluster: Cluster, client: ApiClient) {
    this.cluster = cluster;
    this.client = client;
    this.file = join(cluster.folder, "metadata.backup");
  }

  async deposit(count: number, replicas: number): Promise<void> {
    const names = Array.from({ length: count }, (_, at) => `f${this.files.size + at}`);
    await Promise.all(
      names.map(async (name, at) => {
        const bytes = randomBytes(2000 + at);
        const { record } = await this.client.deposit("n1", name, bytes, { replicas, limitMs: 30_000 });
        this.files.set(name, { bytes, version: record.version });
      }),
    );
  }

  command(name: "backup" | "restore", node: string, ...options: string[]): Promise<Ran> {
    const { configFile, secrets } = this.cluster;
    return runDeposito([name, "--config", configFile, "--node", node, ...options], { ...secrets });
  }

  /** @throws when it does not succeed. */
  async succeed(name: "backup" | "restore", node: string, ...options: string[]): Promise<Ran> {
    const ran = await this.command(name, node, ...options);
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  }

  async killAll(): Promise<void> {
    await Promise.all(this.cluster.members.map((member) => member.kill()));
  }

  /** Takes everything but the blobs. */
  destroyMetadata(id: string): void {
    const { dataDir } = this.cluster.node(id);
    for (const name of readdirSync(dataDir).filter((each) => /^(hard-state|log-|catalog-)/.test(each)))
      rmSync(join(dataDir, name), { recursive: true });
  }

  /** The group that a node belongs to, by its own word. */
  groupOf(id: string): string {
    const founded = this.cluster
      .node(id)
      .logLines(2000)
      .map((line) => JSON.parse(line) as { readonly msg: string; readonly cluster?: string })
      .filter(({ msg }) => msg === "group founded");
    return founded.at(-1)?.cluster ?? assert.fail(`${id} was never founded`);
  }

  /** Every file through every node, as it was. */
  async assertAll(): Promise<void> {
    for (const { id } of this.cluster.members)
      for (const [name, { bytes, version }] of this.files) {
        const reply = await this.client.retrieve(id, name, { limitMs: 30_000 });
        assert.equal(reply.status, 200, `${name} from ${id}: ${reply.slug}`);
        assert.ok(reply.bytes.equals(bytes), `${name} from ${id} has other bytes`);
        assert.equal(reply.header("deposito-version"), String(version));
      }
  }
}

async function drill(t: Parameters<typeof startCluster>[0]): Promise<Drill> {
  const cluster = await startCluster(t);
  return new Drill(cluster, await cluster.registerClient());
}

test("A group that lost the metadata of a majority is restored from a backup: every file is there again", async (t) => {
  const d = await drill(t);
  const { cluster, client, file } = d;
  await d.deposit(20, 2);
  await d.deposit(10, 3);
  assert.match((await d.succeed("backup", "n2", "--out", file)).stdout, /cluster test .* 30 files/);
  const former = d.groupOf("n1");
  const late = (await client.deposit("n1", "late", randomBytes(100), { replicas: 3 })).record;
  await d.killAll();
  for (const id of ["n1", "n2"]) d.destroyMetadata(id);
  // One node lost a replica besides.
  const lost = cluster.allReplicasOnDisk().get("n3")?.[0]?.path;
  assert.ok(lost !== undefined);
  rmSync(lost);

  await t.test("metadata that is still there is replaced only when that is said", async () => {
    const refused = await d.command("restore", "n3", "--from", file);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /holds the metadata of the group .*--replace/);
    for (const { id } of cluster.members) await d.succeed("restore", id, "--from", file, "--replace");
  });

  await t.test("the new group has every file of the backup, in the version it had", async () => {
    await cluster.start();
    assert.notEqual(d.groupOf("n1"), former);
    assert.equal(d.groupOf("n3"), d.groupOf("n1"));
    await d.assertAll();
  });

  await t.test("what is not on a disk any more is made anew, and what came after the backup is not known", async () => {
    await cluster.until("the lost replica is back", 20_000, async () => (existsSync(lost) ? true : undefined));
    await cluster.waitWhole();
    assert.equal((await client.record("n2", "late")).slug, "file-not-found");
    const again = (await client.deposit("n2", "late", randomBytes(100), { replicas: 3 })).record;
    assert.ok(again.version > 0 && late.version > 0);
  });

  await t.test("it lives like any other: a node is killed, and comes back", async () => {
    const leader = await cluster.waitForLeader();
    await leader.kill();
    await cluster.waitForLeader(leader);
    await d.deposit(3, 2);
    leader.start();
    await cluster.waitReady();
    await d.assertAll();
  });
});

test("The directory of the one node that is left is backup enough: with what its log had beyond its catalog", async (t) => {
  const d = await drill(t);
  await d.deposit(20, 3);
  await d.killAll();
  for (const id of ["n1", "n2"]) d.destroyMetadata(id);
  const online = await d.command("backup", "n3", "--out", d.file);
  assert.match(online.stderr, /n3 .* does not run.*--offline/);
  await d.succeed("backup", "n3", "--out", d.file, "--offline");
  assert.equal(statSync(d.file).mode & 0o077, 0, "nobody else may read it");
  for (const { id } of d.cluster.members) await d.succeed("restore", id, "--from", d.file, "--replace");
  await d.cluster.start();
  await d.assertAll();
});

test("A restored group and its former one never mix", async (t) => {
  const d = await drill(t);
  const { cluster, file } = d;
  await d.deposit(5, 3);
  await d.succeed("backup", "n1", "--out", file);
  const former = cluster.node("n3");
  for (const id of ["n1", "n2"]) {
    await cluster.node(id).kill();
    d.destroyMetadata(id);
    await d.succeed("restore", id, "--from", file, "--replace");
  }

  await t.test("a restored node that meets a running one of the former group refuses to start", async () => {
    const member = cluster.node("n1");
    member.start();
    member.expectEnd();
    assert.equal((await member.exited).code, 1);
    assert.match(member.stderr, /already run in another one.*stop them, and restore them as well/);
  });

  const aside = join(cluster.folder, "set-aside");
  await t.test("a group is not founded before every node was restored", async () => {
    await former.kill();
    renameSync(former.dataDir, aside);
    for (const member of cluster.members) member.start();
    await cluster.until("a restored node says who was not restored", 20_000, async () => {
      const said = cluster
        .node("n1")
        .logLines(100)
        .find((line) => line.includes("bring another catalog"));
      return said?.includes('"n3"') === true ? true : undefined;
    });
    await former.kill();
    await d.succeed("restore", "n3", "--from", file);
    former.start();
    await cluster.waitReady();
    await d.deposit(3, 2);
    await d.assertAll();
  });

  await t.test("a directory of the former group that comes back finds nobody who listens", async () => {
    await former.kill();
    rmSync(former.dataDir, { recursive: true });
    renameSync(aside, former.dataDir);
    former.start();
    await cluster.until("it is alone", 20_000, async () =>
      (await readiness(former.api)).reasons.includes("no leader is known") ? true : undefined,
    );
    await d.deposit(3, 2);
    const last = [...d.files.keys()].at(-1) ?? "";
    assert.equal((await d.client.record("n2", last)).status, 200);
    assert.equal((await d.client.record("n3", last)).slug, "no-quorum");
  });
});

test("A backup founds a group of fewer nodes: those that are gone are forgotten, and their replicas made elsewhere", async (t) => {
  const d = await drill(t);
  const { cluster, file } = d;
  await d.deposit(20, 2);
  await d.deposit(5, 1);
  await d.succeed("backup", "n3", "--out", file);
  await d.killAll();
  const nodes = cluster.members.slice(0, 2).map(({ node }) => node);
  const gone = new Set(
    cluster
      .allReplicasOnDisk()
      .get("n3")
      ?.map(({ sha256 }) => sha256),
  );
  const { nodes: _, ...rest } = JSON.parse(readFileSync(cluster.configFile, "utf8"));
  writeFileSync(cluster.configFile, JSON.stringify({ ...rest, nodes }));
  for (const { id } of nodes) await d.succeed("restore", id, "--from", file, "--replace");
  const members = cluster.members.slice(0, 2);
  for (const member of members) member.start();
  await cluster.waitReady(members);
  await cluster.until("n3 is forgotten", 30_000, async () =>
    (await cluster.status())?.nodes.every(({ id }) => id !== "n3") ? true : undefined,
  );
  for (const [name, { bytes }] of d.files) {
    const { record } = await d.client.record("n1", name);
    if (record.placement.every(({ state }) => state === "missing")) {
      assert.ok(record.replicas === 1 && gone.has(record.sha256), `${name} lay on n3 alone`);
      continue;
    }
    const reply = await d.client.retrieve("n2", name, { limitMs: 30_000 });
    assert.ok(reply.bytes.equals(bytes), `${name}: ${reply.slug}`);
    assert.ok(record.placement.every(({ node }) => node !== "n3"));
  }
});
