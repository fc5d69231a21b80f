import assert from "node:assert/strict";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import type { BlobId } from "../../node/base/ids.ts";
import { parseFileName } from "../../node/catalog/names.ts";
import type { FileRecord } from "../../node/catalog/types.ts";
import { collect, DepotCluster, someBytes } from "../support/depot-cluster.ts";
import { unreachable } from "../support/in-process-peers.ts";

const sizeBytes = 2_500_000;
const bytes = someBytes(sizeBytes);
let cluster: DepotCluster;
let record: FileRecord;
/** Where the file's holders stand in `cluster.nodes`, and one node that holds nothing of it. */
let holders: number[];
let outsider: number;

before(async () => {
  cluster = await DepotCluster.start({ nodes: 4, reconciling: false });
  record = (await cluster.deposit(0, "file", bytes, { replicas: 3 })).record;
  holders = record.holders.map(({ node }) => cluster.ids.indexOf(node));
  outsider = [0, 1, 2, 3].find((at) => !holders.includes(at)) ?? assert.fail("every node is a holder");
});
afterEach(() => {
  cluster.onCall = () => undefined;
  cluster.breaksReadsAt.clear();
  for (const at of [0, 1, 2, 3]) cluster.bringBack(at);
});
after(() => cluster.stop());

const ranges = [
  { start: 0, end: sizeBytes },
  { start: 0, end: 0 },
  { start: 0, end: 1 },
  { start: sizeBytes - 1, end: sizeBytes },
  { start: 65_535, end: 65_537 },
  { start: 1_000_001, end: 2_000_003 },
];
for (const range of ranges) {
  test(`Retrieve: [${range.start}, ${range.end}) is the same through every node`, async () => {
    const expected = bytes.subarray(range.start, range.end);
    for (const at of [0, 1, 2, 3])
      assert.ok((await cluster.retrieve(at, "file", range)).equals(expected), `node ${at}`);
  });
}

test("Retrieve: a holder reads its own disk and asks no one", async () => {
  cluster.calls.length = 0;
  const [at = -1] = holders;
  await cluster.retrieve(at, "file");
  assert.deepEqual(
    cluster.calls.map(({ to }) => to),
    [cluster.ids[at]],
  );
});

for (const breakAt of [0, 1, 65_536, 777_777, sizeBytes - 1]) {
  test(`Retrieve: sources that break off at byte ${breakAt} are gone on from by the next, byte for byte`, async () => {
    const tried: string[] = [];
    cluster.onCall = ({ type, to }) => {
      if (type !== "read") return;
      tried.push(to);
      // The first two break off, each where the other did or later.
      if (tried.length <= 2) cluster.breaksReadsAt.set(to, Math.min(breakAt + (tried.length - 1) * 100_000, sizeBytes));
    };
    const got = await cluster.retrieve(outsider, "file");
    assert.ok(got.equals(bytes));
    assert.ok(tried.length >= 2, `${tried.length} sources were tried`);
  });
}

test("Retrieve: a range whose source breaks off goes on from the exact offset", async () => {
  const range = { start: 300_001, end: 2_400_000 };
  let first = true;
  cluster.onCall = ({ type, to }) => {
    if (type === "read" && first) cluster.breaksReadsAt.set(to, 1_234_567);
    first = false;
  };
  assert.ok((await cluster.retrieve(outsider, "file", range)).equals(bytes.subarray(range.start, range.end)));
});

test("Retrieve: nodes that are known to be silent are asked last", async () => {
  const [a = -1, b = -1, c = -1] = holders;
  cluster.takeDown(a);
  cluster.takeDown(b);
  cluster.calls.length = 0;
  assert.ok((await cluster.retrieve(outsider, "file")).equals(bytes));
  assert.deepEqual(
    cluster.calls.map(({ to }) => to),
    [cluster.ids[c]],
  );
});

test("Retrieve: with every holder out of reach there is not one byte but not-enough-nodes", async () => {
  cluster.onCall = ({ to }) => {
    throw unreachable(to);
  };
  await assert.rejects(cluster.retrieve(outsider, "file"), { code: "not-enough-nodes" });
});

test("Retrieve: with every holder breaking off the iteration fails after the bytes that were good", async () => {
  for (const at of holders) cluster.breaksReadsAt.set(cluster.node(at).id, 1_000_000);
  const retrieval = await cluster.node(outsider).depot.retrieve(cluster.client, parseFileName("file"));
  const got: Uint8Array[] = [];
  const reading = (async () => {
    for await (const chunk of retrieval.read({ start: 0, end: sizeBytes }, new AbortController().signal))
      got.push(chunk);
  })();
  await assert.rejects(reading, { code: "not-enough-nodes" });
  assert.ok(Buffer.concat(got).equals(bytes.subarray(0, 1_000_000)));
});

test("Retrieve: a reader who goes away ends the read, and no further source is tried", async () => {
  const stop = new AbortController();
  const retrieval = await cluster.node(outsider).depot.retrieve(cluster.client, parseFileName("file"));
  cluster.calls.length = 0;
  cluster.onCall = ({ to }) => {
    stop.abort();
    throw unreachable(to);
  };
  await assert.rejects(collect(retrieval.read({ start: 0, end: sizeBytes }, stop.signal)));
  assert.equal(cluster.calls.length, 1);
});

test("Retrieve: damaged bytes are never handed out: another replica's take their place", async () => {
  const { record: damaged } = await cluster.deposit(0, "damaged", bytes, { replicas: 3 });
  const at = cluster.ids.indexOf(damaged.holders[0]?.node ?? assert.fail("no holder"));
  await flipByte(cluster.node(at).dataDir, damaged.blob.blobId);
  assert.ok((await cluster.retrieve(at, "damaged")).equals(bytes));
});

test("Retrieve: a name of another client and one that is not there look the same", async () => {
  const { client } = await cluster.node(0).depot.registerClient("other");
  for (const at of [0, 1]) {
    const { depot } = cluster.node(at);
    const foreign = await failure(depot.retrieve(client.clientId, parseFileName("file")));
    const missing = await failure(depot.retrieve(client.clientId, parseFileName("no such file")));
    assert.deepEqual([foreign.code, foreign.message], [missing.code, missing.message]);
    assert.equal(foreign.code, "file-not-found");
  }
});

test("Retrieve: a reader whose file was replaced and swept before the first byte is told to ask again", async () => {
  await cluster.deposit(0, "swept", bytes, { replicas: 2 });
  const retrieval = await cluster.node(0).depot.retrieve(cluster.client, parseFileName("swept"));
  await cluster.deposit(0, "swept", someBytes(10));
  for (const { holder } of cluster.nodes) await holder.discard([retrieval.record.blob.blobId]);
  await assert.rejects(collect(retrieval.read({ start: 0, end: sizeBytes }, new AbortController().signal)), {
    code: "not-enough-nodes",
    message: /replaced or removed meanwhile/,
  });
});

async function failure(promise: Promise<unknown>): Promise<Error & { code: string }> {
  return promise.then(
    () => assert.fail("it did not fail"),
    (error) => error,
  );
}

/** Flips one byte in the middle of the blob's file, wherever the store keeps it. */
async function flipByte(dataDir: string, blobId: BlobId): Promise<void> {
  const names = await readdir(dataDir, { recursive: true });
  const name = names.find((each) => each.includes(blobId)) ?? assert.fail("no such blob file");
  const file = await open(join(dataDir, name), "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, 1_200_000);
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  await file.write(byte, 0, 1, 1_200_000);
  await file.close();
}
