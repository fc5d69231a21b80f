import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ApiClient, RecordBody } from "../support/api-client.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import type { ClusterMember } from "../support/cluster-member.ts";
import { damage, flipBits, levelFiles, levelFolder } from "../support/disk-faults.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { mayMount, mountSmallDisk } from "../support/small-disk.ts";

const nodeIds = ["n1", "n2", "n3"] as const;
const repairLimitMs = 20_000;
const headerBytes = 128;
const blockBytes = 65_536;

/** Where one node keeps its replica. */
function replicaPath(cluster: Cluster, node: string, sha256: string): string {
  const path = cluster
    .allReplicasOnDisk()
    .get(node)
    ?.find((replica) => replica.sha256 === sha256)?.path;
  assert.ok(path !== undefined, `${node} has a replica`);
  return path;
}

/** A replica with these bytes, and not the damaged file, lies on each of the nodes again. */
async function waitRepaired(cluster: Cluster, sha256: string, nodes: readonly string[], damaged: Map<string, Buffer>) {
  await cluster.until("all replicas are intact again", repairLimitMs, async () => {
    const isStill = [...damaged].some(([path, bytes]) => existsSync(path) && readFileSync(path).equals(bytes));
    return !isStill && nodes.every((node) => cluster.replicasOnDisk(sha256).includes(node)) ? true : undefined;
  });
  await cluster.waitWhole();
}

/** The bytes, whichever node is asked and however often: never others. */
async function assertServed(client: ApiClient, name: string, bytes: Uint8Array, from: readonly string[] = nodeIds) {
  for (const node of from) {
    const reply = await client.retrieve(node, name);
    assert.equal(reply.status, 200, `${name} from ${node}: ${reply.slug}`);
    assert.ok(reply.bytes.equals(bytes), `${name} from ${node} has other bytes`);
  }
}

const damages = (sizeBytes: number) => {
  const end = headerBytes + sizeBytes;
  return {
    "its magic number": 3,
    "its blob id": 20,
    "its digest": 40,
    "its size": 70,
    "its count of staging": 78,
    "the zeros of its header": 110,
    "its first byte": headerBytes,
    "its middle": headerBytes + Math.floor(sizeBytes / 2),
    "its last byte": end - 1,
    "its first checksum": end,
    "its last checksum": end + 4 * Math.ceil(sizeBytes / blockBytes) - 1,
  };
};

test("Damaged replicas are never served, and are replaced", async (t) => {
  const cluster = await startCluster(t);
  const client = await cluster.registerClient();

  for (const sizeBytes of [3000, 5 * blockBytes + 77]) {
    await t.test(`one flipped byte anywhere in a replica of ${sizeBytes} B`, async () => {
      const struck: { name: string; bytes: Buffer; path: string; image: Buffer; where: string; sha256: string }[] = [];
      for (const [where, offset] of Object.entries(damages(sizeBytes))) {
        const [name, bytes] = [`${sizeBytes}/${where}`, randomBytes(sizeBytes)];
        const { sha256 } = (await client.deposit("n2", name, bytes, { replicas: 3 })).record;
        const path = replicaPath(cluster, "n1", sha256);
        struck.push({ name, bytes, path, image: damage(path, offset), where, sha256 });
      }
      for (const { name, bytes } of struck) await assertServed(client, name, bytes, ["n1", "n1", "n3"]);
      for (const { path, image, sha256 } of struck) {
        await waitRepaired(cluster, sha256, nodeIds, new Map([[path, image]]));
      }
      for (const { name, bytes } of struck) await assertServed(client, name, bytes);
    });
  }

  await t.test("a range that touches the damage is right too", async () => {
    const bytes = randomBytes(5 * blockBytes);
    const { sha256 } = (await client.deposit("n1", "range", bytes, { replicas: 3 })).record;
    const path = replicaPath(cluster, "n1", sha256);
    const image = damage(path, headerBytes + 3 * blockBytes + 5);
    for (const [start, end] of [
      [0, 99],
      [3 * blockBytes, 3 * blockBytes + 9],
      [2 * blockBytes - 1, 4 * blockBytes],
    ] as const) {
      const reply = await client.retrieve("n1", "range", { range: `bytes=${start}-${end}` });
      assert.equal(reply.status, 206);
      assert.ok(reply.bytes.equals(bytes.subarray(start, end + 1)), `${start}-${end}`);
    }
    await waitRepaired(cluster, sha256, nodeIds, new Map([[path, image]]));
  });

  await t.test("a door without a replica reads the other one, and the damaged one is replaced", async () => {
    const bytes = randomBytes(200_000);
    const { sha256, placement } = (await client.deposit("n1", "remote", bytes, { replicas: 2 })).record;
    const holders = placement.map(({ node }) => node);
    const door = nodeIds.find((node) => !holders.includes(node)) ?? "n1";
    for (const holder of holders) {
      const path = replicaPath(cluster, holder, sha256);
      const image = damage(path, headerBytes + 100_000);
      await assertServed(client, "remote", bytes, [door, door, holder]);
      await waitRepaired(cluster, sha256, holders, new Map([[path, image]]));
    }
  });

  await t.test("a replica cut short, or removed by hand, is replaced", async () => {
    for (const node of nodeIds) {
      const bytes = randomBytes(100_000);
      const { sha256 } = (await client.deposit("n1", `removed/${node}`, bytes, { replicas: 3 })).record;
      rmSync(replicaPath(cluster, node, sha256));
      await assertServed(client, `removed/${node}`, bytes, [node]);
      await waitRepaired(cluster, sha256, nodeIds, new Map());
    }
  });

  for (const sizeBytes of [2000, 5 * blockBytes]) {
    await t.test(
      `with every replica of ${sizeBytes} B damaged it is an error, never bad bytes, and a new deposit heals it`,
      async () => {
        const [name, bytes] = [`lost/${sizeBytes}`, randomBytes(sizeBytes)];
        const { sha256 } = (await client.deposit("n1", name, bytes, { replicas: 3 })).record;
        for (const node of nodeIds) damage(replicaPath(cluster, node, sha256), headerBytes + 7);
        for (const node of nodeIds) {
          const reply = await client.retrieve(node, name);
          assert.equal(reply.status, 503, `${node}: ${reply.slug}`);
          assert.ok(reply.header("retry-after") !== undefined);
        }
        await cluster.until("the record tells that none is left", 10_000, async () =>
          (await client.record("n2", name)).record.placement.every(({ state }) => state === "missing")
            ? true
            : undefined,
        );
        const again = await client.deposit("n2", name, bytes, { replicas: 3 });
        assert.equal(again.status, 200, again.bytes.toString());
        await assertServed(client, name, bytes);
        await client.remove("n1", name);
      },
    );
  }

  await t.test("damage late in every replica breaks the download off, and what came before is right", async () => {
    const bytes = randomBytes(80 * blockBytes);
    const { sha256 } = (await client.deposit("n1", "late", bytes, { replicas: 3 })).record;
    for (const node of nodeIds) damage(replicaPath(cluster, node, sha256), headerBytes + 70 * blockBytes);
    await assert.rejects(client.retrieve("n1", "late").then(({ status }) => assert.notEqual(status, 503)));
    const head = await client.retrieve("n2", "late", { range: `bytes=0-${60 * blockBytes - 1}` });
    if (head.status === 206) assert.ok(head.bytes.equals(bytes.subarray(0, 60 * blockBytes)));
    else assert.equal(head.status, 503);
    await client.remove("n1", "late");
  });
});

/** Files that were acknowledged, with their bytes. */
class Deposited {
  readonly #client: ApiClient;
  readonly #files = new Map<string, Buffer>();
  constructor(client: ApiClient) {
    this.#client = client;
  }
  async add(through: string, count: number, replicas: number): Promise<readonly RecordBody[]> {
    const turns = Array.from({ length: count }, async () => {
      const [name, bytes] = [`d/${this.#files.size}`, randomBytes(1500)];
      this.#files.set(name, bytes);
      return (await this.#client.deposit(through, name, bytes, { replicas, limitMs: 30_000 })).record;
    });
    return await Promise.all(turns);
  }
  /** Every one of them through `node`, and the same list as through another node. */
  async assertAll(node: string, other: string): Promise<void> {
    for (const [name, bytes] of this.#files) await assertServed(this.#client, name, bytes, [node]);
    const [here, there] = [
      await this.#client.list(node, { limit: 1000 }),
      await this.#client.list(other, { limit: 1000 }),
    ];
    assert.equal(here.status, 200);
    assert.deepEqual(withoutPlacement(here.json()), withoutPlacement(there.json()));
  }
}

function withoutPlacement(list: unknown): unknown {
  const { records } = list as { readonly records: readonly RecordBody[] };
  return records.map(({ placement: _, ...record }) => record);
}

/** Kills the node, lets the others go on, damages it, and starts it again. */
async function strike(cluster: Cluster, member: ClusterMember, files: Deposited, act: () => void): Promise<void> {
  await member.kill();
  const other = nodeIds.find((id) => id !== member.id) ?? "n1";
  await cluster.waitForLeader(member);
  await files.add(other, 4, 2);
  act();
  member.start();
  await cluster.waitReady();
  await files.assertAll(member.id, other);
}

/** Whether its word counts in a majority again: the third node is down while it is asked. */
async function assertVotes(cluster: Cluster, member: ClusterMember, files: Deposited): Promise<void> {
  const third = cluster.members.find((other) => other !== member && other.id !== "n1") ?? cluster.node("n1");
  await third.kill();
  try {
    await cluster.waitForLeader(third);
    await files.add(member.id, 2, 2);
    await files.assertAll(member.id, member.id);
  } finally {
    third.start();
    await cluster.waitReady();
  }
}

test("A node whose LevelDB is damaged comes back from its peers and serves no wrong data", async (t) => {
  const cluster = await startCluster(t);
  const client = await cluster.registerClient();
  const files = new Deposited(client);
  await files.add("n1", 30, 3);
  const member = cluster.node("n3");

  for (const kind of ["catalog", "log"] as const) {
    await t.test(`CURRENT of the ${kind} is missing`, async () => {
      await strike(cluster, member, files, () => rmSync(join(levelFolder(member.dataDir, kind), "CURRENT")));
      await assertVotes(cluster, member, files);
    });
    await t.test(`the folder of the ${kind} is missing`, async () => {
      await strike(cluster, member, files, () => rmSync(levelFolder(member.dataDir, kind), { recursive: true }));
      await assertVotes(cluster, member, files);
    });
  }

  for (const seed of [1, 2, 3, 4, 5, 6]) {
    await t.test(`bits flipped in tables, write-ahead logs and manifests (seed ${seed})`, async (sub) => {
      const random = seededRandom(seed);
      await strike(cluster, member, files, () => {
        const kinds = seed % 3 === 0 ? (["log", "catalog"] as const) : ([seed % 3 === 1 ? "log" : "catalog"] as const);
        for (const kind of kinds) {
          const flipped = flipBits(levelFiles(levelFolder(member.dataDir, kind)), 3, random);
          for (const where of flipped) sub.diagnostic(where.slice(member.dataDir.length));
        }
      });
      if (seed % 3 === 0) await assertVotes(cluster, member, files);
    });
  }
});

test("A damaged hard-state file", async (t) => {
  const cluster = await startCluster(t);
  const client = await cluster.registerClient();
  const files = new Deposited(client);
  await files.add("n1", 10, 3);
  const member = cluster.node("n3");

  await t.test("one slot of the hard-state file is damaged", async () => {
    for (const offset of [100, 4096 + 100]) {
      await strike(cluster, member, files, () => damage(join(member.dataDir, "hard-state"), offset));
    }
    await assertVotes(cluster, member, files);
  });

  await t.test("both slots of the hard-state file are damaged: it refuses, and the others go on", async () => {
    await member.kill();
    for (const offset of [100, 4096 + 100]) damage(join(member.dataDir, "hard-state"), offset);
    member.start();
    member.expectEnd();
    const { code } = await member.exited;
    assert.equal(code, 1);
    assert.equal(member.stderr.split("\n").length, 1, member.stderr);
    assert.match(member.stderr, /^deposito: .*hard-state/);
    await files.add("n1", 2, 2);
    await files.assertAll("n1", "n2");
  });
});

const skip = mayMount() ? false : "mounting a small disk needs root";

test("A full disk stops one node at most: the cluster lives and loses nothing", { skip }, async (t: TestContext) => {
  const disks = new Map(["n2", "n3"].map((id) => [id, mountSmallDisk(64)]));
  t.after(() => disks.forEach((disk) => disk.unmount()));
  const diskOf = (id: string) => disks.get(id) ?? assert.fail(id);
  const cluster = await startCluster(t, {
    shape: (nodes) => nodes.map((node) => ({ ...node, dataDir: disks.get(node.id)?.path ?? node.dataDir })),
  });
  const client = await cluster.registerClient();
  const member = cluster.node("n3");
  member.expectEnd();
  const acknowledged = new Map<string, Buffer>();
  let count = 0;
  /** A new file; its record, or the slug of the refusal. A node that ends in the middle answers nothing. */
  const deposit = async (replicas: number, through: readonly string[] = nodeIds) => {
    const [name, bytes] = [`f${count++}`, randomBytes(100_000)];
    const node = through[count % through.length] ?? "n1";
    const reply = await client.deposit(node, name, bytes, { replicas, limitMs: 30_000 }).catch(() => undefined);
    if (reply === undefined) return "no answer";
    if (reply.status !== 201) return `${reply.status} ${reply.slug}`;
    acknowledged.set(name, bytes);
    return reply.record;
  };
  const presentOf = (answer: string | RecordBody) =>
    typeof answer === "string" ? answer : answer.placement.filter(({ state }) => state === "present").length;
  for (let index = 0; index < 12; index++) assert.equal(presentOf(await deposit(3)), 3);

  await t.test("below minFreeBytes it takes no more bytes: its replicas are missing until there is room", async () => {
    diskOf("n3").fill(512 << 10);
    await cluster.until("n3 takes no bytes", 15_000, async () =>
      presentOf(await deposit(3)) === 2 ? true : undefined,
    );
    for (let index = 0; index < 6; index++) assert.equal(presentOf(await deposit(2)), 2);
    assert.ok(member.isRunning);
  });

  await t.test("where too few nodes have room, the answer is 507 and nothing is stored", async () => {
    diskOf("n2").fill(512 << 10);
    await cluster.until("a deposit is refused for lack of space", 15_000, async () =>
      (await deposit(3)) === "507 not-enough-space" ? true : undefined,
    );
    assert.equal((await client.record("n1", `f${count - 1}`)).slug, "file-not-found");
    assert.equal(presentOf(await deposit(1)), 1);
    diskOf("n2").free();
    await cluster.until("n2 takes bytes again", 15_000, async () =>
      presentOf(await deposit(3)) === 2 ? true : undefined,
    );
  });

  await t.test("with not a byte left it ends by itself, and the others go on", async (sub) => {
    await cluster.until("n3 has ended", 20_000, async () => {
      diskOf("n3").fill(0); // anew each time: LevelDB gives space back when it compacts
      const answer = await deposit(2);
      if (typeof answer === "string") assert.match(answer, /^(no answer|503 |507 )/);
      return member.isRunning ? undefined : true;
    });
    assert.equal((await member.exited).code, 1);
    sub.diagnostic(member.logLines(1).join("").slice(0, 300));
    await cluster.waitForLeader(member);
    for (let index = 0; index < 6; index++) assert.equal(presentOf(await deposit(2, ["n1", "n2"])), 2);
  });

  await t.test(
    "started on the full disk it does no harm; with space again it comes back and becomes whole",
    async (sub) => {
      member.start();
      for (let index = 0; index < 6; index++) assert.equal(presentOf(await deposit(2, ["n1", "n2"])), 2);
      sub.diagnostic(member.isRunning ? "it runs" : `it ended: ${member.stderr}`);
      diskOf("n3").free();
      await member.restart();
      await cluster.waitReady();
      await cluster.waitWhole();
      sub.diagnostic(`${acknowledged.size} acknowledged`);
      for (const [name, bytes] of acknowledged) await assertServed(client, name, bytes);
      assert.equal(presentOf(await deposit(3)), 3);
    },
  );
});
