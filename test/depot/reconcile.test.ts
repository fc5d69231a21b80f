import assert from "node:assert/strict";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import type { BlobId } from "../../node/base/ids.ts";
import { parseFileName } from "../../node/catalog/names.ts";
import { readHolder } from "../../node/catalog/tables.ts";
import { DepotCluster, noPreconditions, someBytes } from "../support/depot-cluster.ts";
import { unreachable } from "../support/in-process-peers.ts";

let cluster: DepotCluster;
beforeEach(async () => {
  cluster = await DepotCluster.start({ nodes: 3, reconciling: true });
});
afterEach(() => cluster.stop());

function recount(name: string, replicas: number) {
  return cluster.node(0).depot.edit({
    clientId: cluster.client,
    name: parseFileName(name),
    replicas,
    contentType: undefined,
    preconditions: noPreconditions,
  });
}

test("Reconcile: a raised count is filled by the nodes that were named, verified byte for byte", async () => {
  const bytes = someBytes(300_000);
  await cluster.deposit(0, "raised", bytes, { replicas: 1 });
  await recount("raised", 3);
  await cluster.untilWhole("raised", 3);
  for (const at of [0, 1, 2]) {
    cluster.calls.length = 0;
    assert.ok((await cluster.retrieve(at, "raised")).equals(bytes));
    assert.deepEqual(
      cluster.calls.map(({ to }) => to),
      [cluster.node(at).id],
      "read from its own disk",
    );
  }
});

test("Reconcile: a lowered count leaves exactly that many replicas on disk, and no rows of the others", async () => {
  await cluster.deposit(0, "lowered", someBytes(1000), { replicas: 3 });
  await recount("lowered", 1);
  await cluster.untilWhole("lowered", 1);
});

test("Reconcile: replaced and removed files leave nothing on any disk", async () => {
  await cluster.deposit(0, "gone", someBytes(100_000), { replicas: 3 });
  await cluster.deposit(0, "gone", someBytes(1000), { replicas: 2 });
  await cluster.untilWhole("gone", 2);
  await cluster.node(1).depot.remove(cluster.client, parseFileName("gone"), noPreconditions);
  await cluster.until(async () => (await cluster.litter()) === 0, "empty disks");
});

test("Reconcile: copies of a deposit that changed nothing are dropped", async () => {
  const bytes = someBytes(100_000);
  await cluster.deposit(0, "same", bytes, { replicas: 2 });
  await cluster.deposit(1, "same", bytes, { replicas: 2 });
  await cluster.until(async () => (await cluster.litter()) === 2, "two blobs");
});

test("Reconcile: a doomed replica stays readable for a moment, for readers who saw its record", async () => {
  const bytes = someBytes(100_000);
  await cluster.deposit(0, "moment", bytes, { replicas: 2 });
  const retrieval = await cluster.node(0).depot.retrieve(cluster.client, parseFileName("moment"));
  await cluster.node(0).depot.remove(cluster.client, parseFileName("moment"), noPreconditions);
  cluster.clock.advance(1900);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  let got = 0;
  for await (const chunk of retrieval.read({ start: 0, end: bytes.length }, new AbortController().signal))
    got += chunk.length;
  assert.equal(got, bytes.length);
});

test("Reconcile: a node that was silent at deposit time makes its replica when it returns", async () => {
  cluster.takeDown(2);
  const bytes = someBytes(200_000);
  const { record } = await cluster.deposit(0, "returned", bytes, { replicas: 3 });
  assert.equal(record.holders.filter(({ state }) => state === "present").length, 2);
  cluster.bringBack(2);
  await cluster.untilWhole("returned", 3);
});

test("Reconcile: a missing replica is pulled from another holder when the first source dies in the middle", async () => {
  const bytes = someBytes(2_000_000);
  const { record } = await cluster.deposit(0, "source", bytes, { replicas: 2 });
  const sources: string[] = [];
  cluster.onCall = ({ type, to, from }) => {
    if (type !== "read" || to === from) return;
    sources.push(to);
    if (sources.length === 1) cluster.breaksReadsAt.set(to, 1_500_000);
  };
  await recount("source", 3);
  await cluster.untilWhole("source", 3);
  assert.equal(new Set(sources.slice(0, 2)).size, 2);
  assert.deepEqual(sources.slice(0, 2).sort(), record.holders.map(({ node }) => node).sort());
});

test("Reconcile: with every source out of reach the pull waits, and succeeds when one returns", async () => {
  await cluster.deposit(0, "patient", someBytes(1000), { replicas: 1 });
  let attempts = 0;
  let isOut = true;
  cluster.onCall = ({ type, from, to }) => {
    if (type !== "read" || from === to || !isOut) return;
    attempts += 1;
    throw unreachable(to);
  };
  await recount("patient", 3);
  await cluster.until(() => attempts >= 6, "six attempts");
  isOut = false;
  await cluster.untilWhole("patient", 3);
});

test("Reconcile: attempts get rarer while nothing changes", async () => {
  await cluster.deposit(0, "rare", someBytes(1000), { replicas: 1 });
  const triedAtMs: number[] = [];
  cluster.onCall = ({ type, from, to }) => {
    if (type !== "pull" || from !== to) return;
    triedAtMs.push(cluster.clock.monotonicMs());
    throw unreachable(to);
  };
  await recount("rare", 2);
  await cluster.until(() => triedAtMs.length >= 6, "six attempts");
  const gaps = triedAtMs.slice(1, 6).map((atMs, at) => atMs - (triedAtMs[at] ?? 0));
  assert.ok((gaps[0] ?? 0) <= 1000 && (gaps[4] ?? 0) >= 4000, `gaps ${gaps.join(", ")}`);
});

test("Reconcile: reports whose command is lost are proposed again until they are decided", async () => {
  await cluster.deposit(0, "unlucky", someBytes(1000), { replicas: 1 });
  let lost = 0;
  for (const { replication } of cluster.nodes) {
    replication.interfere = (command, order) => {
      if (command.type !== "report-replicas" || lost >= 4) return order();
      lost += 1;
      if (lost % 2 === 0) order(); // decided, but the answer is lost
      throw new DepositoError("no-quorum", "no answer");
    };
  }
  await recount("unlucky", 3);
  await cluster.untilWhole("unlucky", 3);
  assert.equal(lost, 4);
});

test("Reconcile: a count raised and lowered in quick turns ends with what was asked last", async () => {
  const bytes = someBytes(50_000);
  await cluster.deposit(0, "restless", bytes, { replicas: 1 });
  for (const replicas of [3, 1, 2, 3, 1, 3, 2]) {
    await recount("restless", replicas);
    cluster.clock.advance(700);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  await cluster.untilWhole("restless", 2);
  for (const at of [0, 1, 2]) assert.ok((await cluster.retrieve(at, "restless")).equals(bytes));
});

test("Reconcile: a blob is never pulled and deleted at once", async () => {
  const underWay = new Map<string, number>();
  let clashes = 0;
  const hold = Promise.withResolvers<void>();
  await cluster.deposit(0, "clash", someBytes(1000), { replicas: 1 });
  cluster.onCall = async ({ type, to, from }) => {
    if (to !== from || (type !== "pull" && type !== "discard")) return;
    if (type === "discard" && (underWay.get(to) ?? 0) > 0) clashes += 1;
    if (type !== "pull") return;
    underWay.set(to, (underWay.get(to) ?? 0) + 1);
    await hold.promise;
    underWay.set(to, (underWay.get(to) ?? 0) - 1);
  };
  await recount("clash", 3);
  await cluster.until(() => underWay.size === 2, "two pulls under way");
  await recount("clash", 1);
  cluster.clock.advance(10_000);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  hold.resolve();
  await cluster.untilWhole("clash", 1);
  assert.equal(clashes, 0);
});

test("Reconcile: a replica wanted again while it is being deleted is pulled only after that", async () => {
  const deleting = Promise.withResolvers<void>();
  const hold = Promise.withResolvers<void>();
  const isPull = ({ type, from, to }: { type: string; from: string; to: string }) => type === "pull" && from === to;
  const bytes = someBytes(1000);
  await cluster.deposit(0, "again", bytes, { replicas: 3 });
  await recount("again", 2);
  cluster.onCall = async ({ type }) => {
    if (type !== "discard") return;
    deleting.resolve();
    await hold.promise;
  };
  cluster.clock.advance(2000);
  await deleting.promise;
  cluster.calls.length = 0;
  await recount("again", 3);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(cluster.calls.some(isPull), false);
  hold.resolve();
  await cluster.untilWhole("again", 3);
  assert.equal(cluster.calls.some(isPull), true);
});

test("Reconcile: a replica doomed while its pull fails is dropped when the pull is tried again", async () => {
  cluster.clock.advance(1); // the first scan, which must not find what is tested here
  await cluster.deposit(0, "hopeless", someBytes(1000), { replicas: 1 });
  const pulling = Promise.withResolvers<void>();
  const hold = Promise.withResolvers<void>();
  cluster.onCall = async ({ type, from, to }) => {
    if (type !== "pull" || from !== to) return;
    pulling.resolve();
    await hold.promise;
    throw unreachable(to);
  };
  await recount("hopeless", 2);
  await pulling.promise;
  await recount("hopeless", 1);
  cluster.clock.advance(2000); // due, but its pull is still under way
  hold.resolve();
  const startMs = cluster.clock.monotonicMs();
  const { blob } = await cluster.record(0, "hopeless");
  const rows = () => cluster.ids.filter((id) => readHolder(cluster.node(0).replication.catalog, id, blob.blobId));
  await cluster.until(() => rows().length === 1, "the doomed row is gone");
  assert.ok(cluster.clock.monotonicMs() - startMs < 20_000, "before the next scan");
});

test("Reconcile: a pull that ends after its file was replaced leaves no blob", async () => {
  const hold = Promise.withResolvers<void>();
  const pulling = Promise.withResolvers<void>();
  await cluster.deposit(0, "late", someBytes(1000), { replicas: 1 });
  cluster.onCall = async ({ type, to, from }) => {
    if (type !== "pull" || to !== from) return;
    pulling.resolve();
    await hold.promise;
  };
  await recount("late", 2);
  await pulling.promise;
  cluster.onCall = () => undefined;
  await cluster.deposit(0, "late", someBytes(20), { replicas: 1 });
  hold.resolve();
  await cluster.untilWhole("late", 1);
  await cluster.until(async () => (await cluster.litter()) === 1, "one blob");
});

test("Reconcile: a damaged replica found by a reader is replaced by a good one", async () => {
  const bytes = someBytes(400_000);
  const { record } = await cluster.deposit(0, "rotten", bytes, { replicas: 2 });
  const at = cluster.ids.indexOf(record.holders[0]?.node ?? assert.fail("no holder"));
  await flipByte(await blobFile(cluster.node(at).dataDir, record.blob.blobId));
  assert.ok((await cluster.retrieve(at, "rotten")).equals(bytes));
  await cluster.until(() => cluster.node(at).replication.proposed.some(isLost), "the report");
  await cluster.untilWhole("rotten", 2);
  const read = [];
  for await (const chunk of await cluster.node(at).holder.read(record.blob.blobId, { start: 0, end: 400_000 }))
    read.push(chunk);
  assert.ok(Buffer.concat(read).equals(bytes), "its own replica is whole again");
});

test("Reconcile: a replica whose file was removed by hand is made anew", async () => {
  const bytes = someBytes(400_000);
  const { record } = await cluster.deposit(0, "removed", bytes, { replicas: 2 });
  const at = cluster.ids.indexOf(record.holders[0]?.node ?? assert.fail("no holder"));
  await rm(await blobFile(cluster.node(at).dataDir, record.blob.blobId));
  assert.ok((await cluster.retrieve(at, "removed")).equals(bytes));
  await cluster.until(() => cluster.node(at).replication.proposed.some(isLost), "the report");
  await cluster.untilWhole("removed", 2);
});

test("Reconcile: the last replica is kept though it is damaged, for what can still be read, and a new deposit heals it", async () => {
  const bytes = someBytes(400_000);
  const { record } = await cluster.deposit(0, "last", bytes, { replicas: 1 });
  const at = cluster.ids.indexOf(record.holders[0]?.node ?? assert.fail("no holder"));
  await flipByte(await blobFile(cluster.node(at).dataDir, record.blob.blobId));
  await assert.rejects(cluster.retrieve(at, "last"), { code: "not-enough-nodes" });
  cluster.clock.advance(60_000);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await cluster.blobsOn(at)).length, 1);
  assert.ok((await cluster.retrieve(at, "last", { start: 0, end: 100_000 })).equals(bytes.subarray(0, 100_000)));
  await cluster.until(() => cluster.node(at).replication.proposed.some(isLost), "the report");
  assert.equal((await cluster.deposit(0, "last", bytes, { replicas: 1 })).outcome, "replaced");
  assert.ok((await cluster.retrieve(at, "last")).equals(bytes));
});

test("Reconcile: a false report of a lost replica changes nothing", async () => {
  const { record } = await cluster.deposit(0, "sound", someBytes(1000), { replicas: 2 });
  const at = cluster.ids.indexOf(record.holders[0]?.node ?? assert.fail("no holder"));
  const { blobId } = record.blob;
  cluster.node(at).depot.reportLost({ blobId, how: "gone" });
  await cluster.until(
    () => cluster.calls.some(({ type, to }) => type === "read" && to === cluster.node(at).id),
    "a look",
  );
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(readHolder(cluster.node(at).replication.catalog, cluster.node(at).id, blobId)?.state, "present");
  assert.ok(!cluster.node(at).replication.proposed.some(isLost));
});

test("Reconcile: rows from before the start are found by the scan", async () => {
  const idle = await DepotCluster.start({ nodes: 3, reconciling: false });
  try {
    const names = Array.from({ length: 6 }, (_, at) => `old/${at}`);
    for (const name of names) {
      await idle.deposit(0, name, someBytes(100), { replicas: 1 });
      await idle.deposit(0, name, someBytes(101), { replicas: 3 });
    }
    for (const { depot } of idle.nodes) depot.start();
    for (const name of names) await idle.untilWhole(name, 3);
    await idle.until(async () => (await idle.litter()) === 18, "18 blobs");
  } finally {
    await idle.stop();
  }
});

test("Reconcile: many reports share few commands", async () => {
  for (let at = 0; at < 25; at++) await cluster.deposit(0, `many/${at}`, someBytes(10), { replicas: 3 });
  for (const { replication } of cluster.nodes) replication.proposed.length = 0;
  for (let at = 0; at < 25; at++) {
    await cluster.node(0).depot.remove(cluster.client, parseFileName(`many/${at}`), noPreconditions);
  }
  await cluster.until(async () => (await cluster.litter()) === 0, "empty disks");
  for (const { replication } of cluster.nodes) {
    const reports = replication.proposed.filter(({ type }) => type === "report-replicas");
    assert.ok(reports.length <= 3, `${reports.length} commands for 25 replicas`);
  }
});

test("Reconcile: closing waits for what is under way and starts nothing new", async () => {
  const hold = Promise.withResolvers<void>();
  const pulling = Promise.withResolvers<void>();
  await cluster.deposit(0, "closing", someBytes(1000), { replicas: 1 });
  cluster.onCall = async ({ type, from, to }) => {
    if (type !== "pull" || from !== to) return;
    pulling.resolve();
    await hold.promise;
  };
  const { holders } = await recount("closing", 2);
  await pulling.promise;
  const missing = holders.find(({ state }) => state === "missing")?.node ?? assert.fail("nothing is missing");
  const { depot } = cluster.node(cluster.ids.indexOf(missing));
  let isClosed = false;
  const closing = depot.close().then(() => {
    isClosed = true;
  });
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isClosed, false);
  hold.resolve();
  await closing;
});

function isLost(command: { readonly type: string }): boolean {
  return command.type === "report-replicas" && JSON.stringify(command).includes('"lost"');
}

async function blobFile(dataDir: string, blobId: BlobId): Promise<string> {
  const names = await readdir(dataDir, { recursive: true });
  return join(dataDir, names.find((name) => name.includes(blobId)) ?? assert.fail("no such blob file"));
}

async function flipByte(path: string): Promise<void> {
  const file = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, 200_000);
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  await file.write(byte, 0, 1, 200_000);
  await file.close();
}
