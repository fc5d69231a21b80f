import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readiness } from "../../scripts/cluster-api.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { levelFolder } from "../support/disk-faults.ts";

/** Kills every node and takes from some of them what LevelDB cannot be opened without. */
async function strike(cluster: Cluster, damaged: readonly string[], kind: "catalog" | "log"): Promise<void> {
  await Promise.all(cluster.members.map((member) => member.kill()));
  for (const id of damaged) rmSync(join(levelFolder(cluster.node(id).dataDir, kind), "CURRENT"));
  for (const member of cluster.members) member.start();
}

/** Resolves once every node gives a reason like `pattern`, and has logged the same as an error. */
async function allSay(cluster: Cluster, pattern: RegExp): Promise<void> {
  let reasons: readonly string[] = [];
  await cluster.until(
    "every node says what is wrong",
    30_000,
    async () => {
      const answers = await Promise.all(cluster.members.map(({ api }) => readiness(api)));
      reasons = answers.map((answer) => answer.reasons);
      return reasons.every((each) => pattern.test(each)) ? true : undefined;
    },
    () => reasons.join("\n"),
  );
  for (const member of cluster.members) {
    const errors = member.logLines(1000).filter((line) => line.includes('"level":50'));
    assert.ok(
      errors.some((line) => pattern.test(line)),
      `${member.id}: ${errors.join("\n")}`,
    );
  }
}

test("A majority without a catalog gets it from the one node that has one", async (t) => {
  const cluster = await startCluster(t);
  const client = await cluster.registerClient();
  const bytes = randomBytes(1000);
  await client.deposit("n1", "a", bytes, { replicas: 3 });
  await strike(cluster, ["n1", "n3"], "catalog");
  await cluster.waitReady();
  for (const { id } of cluster.members) assert.ok((await client.retrieve(id, "a")).bytes.equals(bytes));
});

test("Where no node has a catalog, none serves anything, and every one says so and what to do", async (t) => {
  const cluster = await startCluster(t);
  const client = await cluster.registerClient();
  await client.deposit("n1", "a", randomBytes(1000), { replicas: 3 });
  await strike(cluster, ["n1", "n2", "n3"], "catalog");
  await allSay(cluster, /no node of the group has a usable catalog.*When a majority is damaged/);
  const reply = await client.record("n2", "a");
  assert.equal(reply.slug, "no-quorum");
  assert.match(reply.bytes.toString(), /no node of the group has a usable catalog/);
});

test("Where a majority of the logs lost promises, nobody is elected, and every node says so and what to do", async (t) => {
  const cluster = await startCluster(t);
  await cluster.registerClient();
  await strike(cluster, ["n1", "n2"], "log");
  await allSay(cluster, /nobody can be elected: n1, n2 lost entries.*When a majority is damaged/);
  const status = await cluster.status();
  assert.match(status?.trouble ?? "", /nobody can be elected: n1, n2/);
});
