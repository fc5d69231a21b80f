import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { startCluster } from "../support/cluster.ts";

const entries = 20_500;
const connections = 64;

test("A node that was away while the log was trimmed comes back by a snapshot and serves everything", async (t) => {
  const cluster = await startCluster(t);
  const client = await cluster.registerClient();
  await client.deposit("n1", "before", "it left", { replicas: 3 });
  const away = cluster.node("n3");
  await away.stop();

  const bytes = new Map<string, Buffer>();
  for (let index = 0; index < connections; index++) {
    const [name, content] = [`f${index}`, randomBytes(500 + index)];
    bytes.set(name, content);
    assert.equal((await client.deposit("n1", name, content, { replicas: 2 })).status, 201);
  }
  const startedMs = performance.now();
  const leader = await cluster.waitForLeader(away);
  const from = (await cluster.status())?.commitIndex ?? 0;
  let sent = 0;
  const edit = async (name: string) => {
    for (; sent < entries; sent++) {
      const reply = await client.edit(leader.id, name, { contentType: `text/x-${sent}` });
      assert.equal(reply.status, 200, reply.bytes.toString());
    }
  };
  await Promise.all([...bytes.keys()].map(edit));
  const commitIndex = (await cluster.status())?.commitIndex ?? 0;
  t.diagnostic(`${commitIndex - from} entries in ${Math.round(performance.now() - startedMs)} ms`);

  const returnedMs = performance.now();
  away.start();
  await cluster.waitReady();
  t.diagnostic(`ready ${Math.round(performance.now() - returnedMs)} ms after its start`);
  assert.equal((await client.retrieve("n3", "before")).bytes.toString(), "it left");
  for (const [name, content] of bytes) {
    assert.ok((await client.retrieve("n3", name)).bytes.equals(content), name);
    const [here, there] = [await client.record("n3", name), await client.record(leader.id, name)];
    assert.deepEqual(here.json(), there.json());
  }
  assert.ok(
    away.logLines(1000).some((line) => line.includes("snapshot")),
    "it was told to install a snapshot",
  );
});
