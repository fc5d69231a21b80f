import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { test } from "node:test";
import { request } from "undici";
import { basic } from "../../scripts/cluster-api.ts";
import type { ApiClient, RecordBody } from "../support/api-client.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { descriptorsOf, peakMemoryBytes, stagedBytes } from "../support/process-facts.ts";

const nodeIds = ["n1", "n2", "n3"] as const;
const MiB = 1 << 20;
const noProc = process.platform === "linux" ? false : "only Linux says what a process uses";

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function presentOf({ placement }: RecordBody): string[] {
  return placement.filter(({ state }) => state === "present").map(({ node }) => node);
}

/** The bytes in ten parts; `act` is awaited after so many of them. */
async function* tenths(bytes: Buffer, at: number, act: () => Promise<void>): AsyncGenerator<Buffer> {
  const partBytes = Math.ceil(bytes.length / 10);
  for (let tenth = 0; tenth <= 10; tenth++) {
    if (tenth === at) await act();
    if (tenth < 10) yield bytes.subarray(tenth * partBytes, (tenth + 1) * partBytes);
  }
}

/** Waits until a node has so many bytes of the one upload under way on its disk. */
async function waitStaged(cluster: Cluster, node: string, sizeBytes: number): Promise<void> {
  const { dataDir } = cluster.node(node);
  await cluster.until(`${node} staged ${sizeBytes} B`, 20_000, async () =>
    stagedBytes(dataDir).some((staged) => staged >= sizeBytes) ? true : undefined,
  );
}

/** No upload, no blob with these bytes on any disk. */
async function assertNoLitter(cluster: Cluster, sha256: string): Promise<void> {
  await cluster.until(
    "nothing of the upload is left",
    20_000,
    async () => {
      const staged = cluster.members.flatMap(({ dataDir }) => stagedBytes(dataDir));
      return staged.length === 0 && cluster.replicasOnDisk(sha256).length === 0 ? true : undefined;
    },
    () => cluster.members.map(({ id, dataDir }) => `${id}: ${stagedBytes(dataDir).join()}`).join("; "),
  );
}

test("A deposit under way when a node ends", async (t) => {
  const cluster = await startCluster(t);
  const client = await cluster.registerClient();
  const bytes = randomBytes(20 * MiB);
  const deposited = new Map<string, Buffer>();

  for (let tenth = 0; tenth <= 10; tenth++) {
    await t.test(`a holder killed after ${tenth} tenths of 20 MiB: the deposit succeeds`, async () => {
      const [door, victim] = [nodeIds[tenth % 3] ?? "n1", nodeIds[(tenth + 1) % 3] ?? "n1"];
      const [name, own] = [`tenth/${tenth}`, Buffer.concat([Buffer.from(`${tenth}`), bytes])];
      const body = tenths(own, tenth, async () => {
        if (tenth > 0) await waitStaged(cluster, victim, (tenth - 1) * 2 * MiB);
        await cluster.node(victim).kill();
      });
      const reply = await client.deposit(door, name, body, { replicas: 3, limitMs: 60_000 });
      cluster.node(victim).start();
      await cluster.waitReady();
      await cluster.waitAcquainted();
      assert.equal(reply.status, 201, reply.bytes.toString());
      assert.ok(presentOf(reply.record).length >= 2, JSON.stringify(reply.record.placement));
      assert.equal(reply.record.sha256, sha256Of(own));
      deposited.set(name, own);
    });
  }

  await t.test("all of them are whole afterwards", async () => {
    await cluster.waitWhole();
    const onDisk = cluster.allReplicasOnDisk();
    for (const [name, own] of deposited) {
      const isThere = (node: string) =>
        onDisk.get(node)?.some(({ sha256, intact }) => intact && sha256 === sha256Of(own)) === true;
      assert.deepEqual(nodeIds.filter(isThere), nodeIds, name);
      assert.equal(sha256Of((await client.retrieve("n1", name, { limitMs: 60_000 })).bytes), sha256Of(own));
      await client.remove("n1", name);
    }
  });

  await t.test(
    "the door killed in the middle: nothing is visible, nothing is left, and another door takes it",
    async () => {
      for (const door of ["n1", "n2"]) {
        const [name, own] = [`door/${door}`, Buffer.concat([Buffer.from(door), bytes])];
        const body = tenths(own, 5, async () => {
          for (const node of nodeIds) await waitStaged(cluster, node, 6 * MiB);
          await cluster.node(door).kill();
        });
        await assert.rejects(client.deposit(door, name, body, { replicas: 3, limitMs: 60_000 }));
        assert.equal((await client.record("n3", name)).slug, "file-not-found");
        assert.deepEqual(((await client.list("n3", { prefix: name })).json() as { records: unknown[] }).records, []);
        cluster.node(door).start();
        await cluster.waitReady();
        await assertNoLitter(cluster, sha256Of(own));
        assert.equal((await client.deposit("n3", name, own, { replicas: 3, limitMs: 60_000 })).status, 201);
        await client.remove("n3", name);
      }
    },
  );

  await t.test(
    "the answer was lost because the door died: the same deposit elsewhere is created or unchanged",
    async (sub) => {
      const outcomes: string[] = [];
      await client.deposit("n1", "retry", randomBytes(20_000), { replicas: 3 });
      const beganMs = performance.now();
      await client.deposit("n2", "retry", randomBytes(20_000), { replicas: 3 });
      const usualMs = performance.now() - beganMs;
      for (let round = 0; round < 6; round++) {
        const door = nodeIds[round % 3] ?? "n1";
        const other = nodeIds[(round + 1) % 3] ?? "n1";
        const [name, own] = [`retry/${round}`, randomBytes(20_000)];
        const lost = client.deposit(door, name, own, { replicas: 3 }).catch(() => undefined);
        // Anywhere from the first byte to a little after the usual answer.
        await new Promise((resolve) => setTimeout(resolve, (round / 4) * usualMs));
        await cluster.node(door).kill();
        const answer = await lost;
        const again = await client.deposit(other, name, own, { replicas: 3, limitMs: 30_000 });
        assert.ok([200, 201].includes(again.status), again.bytes.toString());
        assert.match(again.record.outcome ?? "", answer === undefined ? /^(created|unchanged)$/ : /^unchanged$/);
        outcomes.push(`${answer?.status ?? "lost"} → ${again.record.outcome}`);
        assert.ok((await client.retrieve(other, name)).bytes.equals(own));
        cluster.node(door).start();
        await cluster.waitReady();
      }
      await cluster.waitWhole();
      sub.diagnostic(outcomes.join(", "));
    },
  );
});

test("Uploads and downloads on a whole cluster", async (t) => {
  const cluster = await startCluster(t);
  const client = await cluster.registerClient();
  const pidOf = (node: string) => cluster.node(node).pid ?? assert.fail(node);

  await t.test(
    "clients that disconnect in the middle leave nothing, and no descriptor open",
    { skip: noProc },
    async () => {
      const bytes = randomBytes(8 * MiB);
      const upload = async (index: number) => {
        const abort = new AbortController();
        const body = tenths(bytes, 6, async () => abort.abort());
        await request(`${cluster.node("n2").api}/v1/files/gone/${index}`, {
          method: "PUT",
          headers: { authorization: basic(client.credentials), "deposito-replicas": "3" },
          body: body as never,
          signal: abort.signal,
        }).catch(() => undefined);
      };
      await client.deposit("n2", "warm", bytes, { replicas: 3 });
      await Promise.all([0, 1, 2, 3].map(upload));
      await assertNoLitter(cluster, sha256Of(randomBytes(1)));
      const before = new Map(nodeIds.map((node) => [node, descriptorsOf(pidOf(node))]));
      for (let round = 0; round < 5; round++) await Promise.all([0, 1, 2, 3].map((index) => upload(4 * round + index)));
      await assertNoLitter(cluster, sha256Of(randomBytes(1)));
      await cluster.until(
        "no node has more descriptors open than before",
        20_000,
        async () => (nodeIds.every((node) => descriptorsOf(pidOf(node)) <= (before.get(node) ?? 0)) ? true : undefined),
        () => nodeIds.map((node) => `${node}: ${before.get(node)} → ${descriptorsOf(pidOf(node))}`).join("; "),
      );
      assert.deepEqual(((await client.list("n1", { prefix: "gone/" })).json() as { records: unknown[] }).records, []);
      const blobs = [...cluster.allReplicasOnDisk().values()].map((replicas) => replicas.length);
      assert.deepEqual(blobs, [1, 1, 1], "only the whole one");
      await client.remove("n1", "warm");
    },
  );

  await t.test("50 writers on one name: one order, and the last acknowledged bytes stay", async () => {
    const values = Array.from({ length: 50 }, (_, index) => `value ${index}`);
    const replies = await Promise.all(
      values.map((value, index) => client.deposit(nodeIds[index % 3] ?? "n1", "one", value, { limitMs: 30_000 })),
    );
    const records = replies.map(({ record }) => record);
    assert.equal(replies.filter(({ status }) => status === 201).length, 1);
    assert.equal(new Set(records.map(({ version }) => version)).size, 50);
    const order = records.map(({ version }, index) => ({ version, index })).toSorted((a, b) => a.version - b.version);
    assert.equal(records[order[0]?.index ?? -1]?.outcome, "created", "the first in order created it");
    const last = order.at(-1);
    for (const node of nodeIds) {
      assert.equal((await client.retrieve(node, "one")).bytes.toString(), values[last?.index ?? -1]);
      assert.equal((await client.record(node, "one")).record.version, last?.version);
    }
  });

  await t.test("50 with If-None-Match: * on one name: exactly one 201, the others 412", async () => {
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        client.deposit(nodeIds[index % 3] ?? "n1", "first", `mine ${index}`, { ifNoneMatch: "*", limitMs: 30_000 }),
      ),
    );
    const winners = replies.flatMap(({ status }, index) => (status === 201 ? [index] : []));
    assert.equal(winners.length, 1);
    assert.equal(replies.filter(({ slug }) => slug === "precondition-failed").length, 49);
    for (const node of nodeIds) {
      assert.equal((await client.retrieve(node, "first")).bytes.toString(), `mine ${winners[0]}`);
    }
  });

  await t.test("Expect: 100-continue with the digest of identical bytes is answered without the body", async () => {
    const bytes = randomBytes(MiB);
    const { record } = await client.deposit("n1", "expected", bytes, { replicas: 2 });
    for (const node of nodeIds) {
      const same = await expectContinue(cluster, client, node, "expected", bytes);
      assert.deepEqual({ continued: same.continued, status: same.status }, { continued: false, status: 200 });
      assert.equal(same.record.outcome, "unchanged");
      assert.equal(same.record.version, record.version);
    }
    const other = await expectContinue(cluster, client, "n2", "expected", randomBytes(MiB));
    assert.deepEqual({ continued: other.continued, status: other.status }, { continued: true, status: 200 });
    assert.equal(other.record.outcome, "replaced");
  });

  for (const how of ["kill", "pause"] as const) {
    await t.test(
      `the node that a download comes from is ${how === "kill" ? "killed" : "paused"}: the bytes are complete and right`,
      async (sub) => {
        const bytes = randomBytes(64 * MiB);
        const { record } = await client.deposit("n1", `download/${how}`, bytes, { replicas: 2, limitMs: 60_000 });
        const [source, other] = presentOf(record).map((id) => cluster.node(id));
        const door = cluster.members.find((member) => member !== source && member !== other);
        assert.ok(source !== undefined && other !== undefined && door !== undefined);
        // With the other one away it can come from nowhere else.
        await other.kill();
        await cluster.waitForLeader(other);
        const { body, statusCode } = await request(`${door.api}/v1/files/download/${how}`, {
          headers: { authorization: basic(client.credentials) },
        });
        assert.equal(statusCode, 200);
        const parts: Buffer[] = [];
        let [received, strickenMs] = [0, 0];
        for await (const part of body as AsyncIterable<Buffer>) {
          parts.push(part);
          received += part.length;
          if (received < 8 * MiB || strickenMs > 0) continue;
          other.start();
          await cluster.waitReady();
          strickenMs = performance.now();
          if (how === "kill") await source.kill();
          else source.pause();
        }
        sub.diagnostic(`complete ${Math.round(performance.now() - strickenMs)} ms after the fault`);
        if (how === "kill") source.start();
        else source.resume();
        assert.ok(Buffer.concat(parts).equals(bytes));
        await cluster.waitReady();
      },
    );
  }

  await t.test("1 GiB goes in and comes out through a node that never uses 300 MiB", { skip: noProc }, async (sub) => {
    const [sizeBytes, block] = [1024 * MiB, randomBytes(MiB)];
    const hash = createHash("sha256");
    for (let at = 0; at < sizeBytes; at += block.length) hash.update(block);
    const sha256 = hash.digest("hex");
    const { record } = await client.deposit("n2", "large", repeat(block, sizeBytes), { replicas: 2, limitMs: 200_000 });
    assert.deepEqual({ sha256: record.sha256, size: record.size }, { sha256, size: sizeBytes });
    const { body } = await request(`${cluster.node("n2").api}/v1/files/large`, {
      headers: { authorization: basic(client.credentials) },
    });
    const received = createHash("sha256");
    for await (const part of body as AsyncIterable<Buffer>) received.update(part);
    assert.equal(received.digest("hex"), sha256);
    for (const node of nodeIds) {
      const peak = Math.round(peakMemoryBytes(pidOf(node)) / MiB);
      sub.diagnostic(`${node}: at most ${peak} MiB`);
      assert.ok(peak < 300, `${node}: ${peak} MiB`);
    }
  });
});

async function* repeat(block: Buffer, sizeBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < sizeBytes; at += block.length) yield block;
}

/** A deposit as curl does it for large bodies: it asks before it sends. */
async function expectContinue(cluster: Cluster, client: ApiClient, node: string, name: string, bytes: Buffer) {
  const asked = httpRequest(`${cluster.node(node).api}/v1/files/${name}`, {
    method: "PUT",
    headers: {
      authorization: basic(client.credentials),
      expect: "100-continue",
      "content-length": bytes.length,
      "repr-digest": `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`,
    },
  });
  let continued = false;
  asked.on("continue", () => {
    continued = true;
    asked.end(bytes);
  });
  asked.flushHeaders();
  const [answer] = await once(asked, "response");
  const parts: Buffer[] = [];
  for await (const part of answer as AsyncIterable<Buffer>) parts.push(part);
  asked.destroy();
  const record = JSON.parse(Buffer.concat(parts).toString()) as RecordBody;
  return { continued, status: (answer as { readonly statusCode: number }).statusCode, record };
}
