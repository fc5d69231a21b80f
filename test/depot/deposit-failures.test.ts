import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import type { NodeId } from "../../node/base/ids.ts";
import { chunksOf, DepotCluster, minFreeBytes, someBytes } from "../support/depot-cluster.ts";
import { type HolderCall, unreachable } from "../support/in-process-peers.ts";

const megabyte = 1024 * 1024;
let cluster: DepotCluster;
before(async () => {
  cluster = await DepotCluster.start({ nodes: 5, reconciling: false });
});
afterEach(() => {
  cluster.onCall = () => undefined;
  cluster.freeBytes.clear();
  for (const at of [0, 1, 2, 3, 4]) cluster.bringBack(at);
  for (const { replication } of cluster.nodes) replication.interfere = (_, order) => order();
});
after(() => cluster.stop());

/** Fails every call from `first` on to the node that `first` chooses. */
function dieAt(first: (call: HolderCall) => boolean): () => NodeId | undefined {
  let dead: NodeId | undefined;
  cluster.onCall = (call) => {
    if (dead === undefined && call.to !== call.from && first(call)) dead = call.to;
    if (call.to === dead) throw unreachable(call.to);
  };
  return () => dead;
}

for (let tenth = 0; tenth < 10; tenth++) {
  test(`Deposit: a holder that dies at ${tenth} tenths of the body costs one replica, not the deposit`, async () => {
    const bytes = someBytes(megabyte);
    const name = `tenths/${tenth}`;
    const dead = dieAt(({ type, bytes: sent }) => type === "write" && sent >= (tenth * megabyte) / 10);
    const { record } = await cluster.deposit(0, name, bytes, { replicas: 3 });
    const died = dead();
    assert.ok(died);
    assert.equal(record.holders.filter(({ state }) => state === "present").length, 2);
    const missing = record.holders.filter(({ state }) => state === "missing").map(({ node }) => node);
    assert.equal(missing.length, 1);
    assert.ok(!missing.includes(died), "a live spare is named for the missing replica, not the dead node");
    cluster.onCall = () => undefined;
    for (const at of [0, 1, 2]) assert.ok((await cluster.retrieve(at, name)).equals(bytes));
  });
}

for (const sizeBytes of [1000, megabyte]) {
  const step = sizeBytes > 65_536 ? "commit" : "store";
  test(`Deposit: ${sizeBytes} bytes with one of three copies failing at ${step} are deposited on two`, async () => {
    dieAt(({ type }) => type === step);
    const { record } = await cluster.deposit(0, `commit/${sizeBytes}`, someBytes(sizeBytes), { replicas: 3 });
    const states = record.holders.map(({ state }) => state).sort();
    assert.deepEqual(states, ["missing", "present", "present"]);
  });

  test(`Deposit: ${sizeBytes} bytes with too few durable copies after ${step} are topped up by a spare node`, async () => {
    const failed = new Set<NodeId>();
    cluster.onCall = ({ type, to }) => {
      if (type !== step || (!failed.has(to) && failed.size >= 2)) return;
      failed.add(to);
      throw unreachable(to);
    };
    const { record } = await cluster.deposit(0, `spare/${sizeBytes}`, someBytes(sizeBytes), { replicas: 3 });
    const present = record.holders.filter(({ state }) => state === "present").map(({ node }) => node);
    assert.equal(present.length, 2);
    assert.ok(present.every((node) => !failed.has(node)));
  });

  test(`Deposit: ${sizeBytes} bytes with no majority of copies after ${step} are refused, and nothing is kept`, async () => {
    const litter = await cluster.litter();
    cluster.onCall = ({ type, to }) => {
      if (to !== cluster.ids[0] && type !== "abort" && type !== "discard") throw unreachable(to);
    };
    await assert.rejects(cluster.deposit(0, `none/${sizeBytes}`, someBytes(sizeBytes), { replicas: 3 }), {
      code: "not-enough-nodes",
    });
    assert.equal(await cluster.litter(), litter);
  });

  test(`Deposit: ${sizeBytes} bytes that only one node could make durable are discarded there`, async () => {
    const litter = await cluster.litter();
    const kept = new Set<NodeId>();
    cluster.onCall = ({ type, to }) => {
      if (type === step && kept.size === 0) kept.add(to);
      else if ((type === step && !kept.has(to)) || type === "pull") throw unreachable(to);
    };
    await assert.rejects(cluster.deposit(0, `one/${sizeBytes}`, someBytes(sizeBytes), { replicas: 3 }), {
      code: "not-enough-nodes",
    });
    assert.equal(kept.size, 1);
    assert.equal(await cluster.litter(), litter);
  });

  test(`Deposit: ${sizeBytes} bytes whose command gets no answer keep their copies, for it may still happen`, async () => {
    const litter = await cluster.litter();
    cluster.node(0).replication.interfere = (_, order) => {
      order();
      throw new DepositoError("no-quorum", "the answer was lost");
    };
    const name = `unanswered/${sizeBytes}`;
    const bytes = someBytes(sizeBytes);
    await assert.rejects(cluster.deposit(0, name, bytes, { replicas: 3 }), { code: "no-quorum" });
    assert.equal(await cluster.litter(), litter + 3);
    assert.ok((await cluster.retrieve(1, name)).equals(bytes));
  });

  test(`Deposit: ${sizeBytes} bytes that a full holder refuses go to a spare one`, async () => {
    const full = new Set<NodeId>();
    cluster.onCall = ({ type, to }) => {
      if (type !== "open" && type !== "store") return;
      if (!full.has(to) && full.size === 2) return;
      full.add(to);
      throw new DepositoError("not-enough-space", "full");
    };
    const { record } = await cluster.deposit(0, `full/${sizeBytes}`, someBytes(sizeBytes), { replicas: 3 });
    assert.ok(record.holders.filter(({ state }) => state === "present").length >= 2);
  });

  test(`Deposit: ${sizeBytes} bytes that every holder refuses for space are answered not-enough-space`, async () => {
    cluster.onCall = ({ type }) => {
      if (type === "open" || type === "store") throw new DepositoError("not-enough-space", "full");
    };
    await assert.rejects(cluster.deposit(0, `nowhere/${sizeBytes}`, someBytes(sizeBytes), { replicas: 3 }), {
      code: "not-enough-space",
    });
  });
}

test("Deposit: with every copy dead in the middle the body is read no further", async () => {
  cluster.onCall = ({ type, bytes, to }) => {
    if (type === "write" && bytes >= megabyte) throw unreachable(to);
  };
  let sent = 0;
  async function* counted() {
    for await (const chunk of chunksOf(someBytes(4 * megabyte))) {
      sent += chunk.length;
      yield chunk;
    }
  }
  const deposit = cluster.deposit(0, "all-dead", someBytes(0), { body: counted(), declaredBytes: 4 * megabyte });
  await assert.rejects(deposit, { code: "not-enough-nodes" });
  assert.ok(sent <= megabyte + 3 * 65_536, `${sent} bytes were read`);
});

test("Deposit: a failed deposit is answered while its body is silent", async () => {
  cluster.onCall = ({ type, to }) => {
    if (type === "write") throw unreachable(to);
  };
  const silence = Promise.withResolvers<void>();
  async function* silent() {
    yield someBytes(100_000);
    await silence.promise;
  }
  await assert.rejects(cluster.deposit(0, "silent", someBytes(0), { body: silent(), declaredBytes: megabyte }), {
    code: "not-enough-nodes",
  });
  silence.resolve();
});

test("Deposit: the slowest holder governs how far the body is read", async () => {
  const stall = Promise.withResolvers<void>();
  const stalled = Promise.withResolvers<void>();
  let sent = 0;
  let slow: NodeId | undefined;
  cluster.onCall = async ({ type, to, bytes }) => {
    if (type !== "write" || bytes < megabyte || (slow !== undefined && slow !== to)) return;
    slow = to;
    stalled.resolve();
    await stall.promise;
    throw unreachable(to); // the deadline of the peer client
  };
  async function* counted() {
    for await (const chunk of chunksOf(someBytes(8 * megabyte))) {
      sent += chunk.length;
      yield chunk;
    }
  }
  const deposit = cluster.deposit(0, "stalled", someBytes(0), {
    body: counted(),
    declaredBytes: 8 * megabyte,
    replicas: 3,
  });
  await stalled.promise;
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(sent <= megabyte + 3 * 65_536, `${sent} bytes were read`);
  cluster.onCall = () => undefined;
  stall.resolve();
  const { record } = await deposit;
  assert.equal(record.blob.sizeBytes, 8 * megabyte);
});

test("Deposit: 3 replicas on two live nodes of three are deposited, and the silent one is named as missing", async () => {
  const three = await DepotCluster.start({ nodes: 3, reconciling: false });
  try {
    three.takeDown(2);
    const { record } = await three.deposit(0, "two-of-three", someBytes(100), { replicas: 3 });
    assert.deepEqual(
      record.holders.filter(({ state }) => state === "missing").map(({ node }) => node),
      [three.ids[2]],
    );
    three.takeDown(1);
    const wantBody = () => assert.fail("the body was asked for");
    await assert.rejects(three.deposit(0, "one-of-three", someBytes(100), { replicas: 3, wantBody }), {
      code: "not-enough-nodes",
    });
    await three.deposit(0, "one-replica", someBytes(100), { replicas: 1 });
  } finally {
    await three.stop();
  }
});

test("Deposit: full nodes take no new bytes, and too few others are answered not-enough-space unread", async () => {
  const [n1, n2, n3, n4, n5] = cluster.ids as [NodeId, NodeId, NodeId, NodeId, NodeId];
  for (const node of [n1, n2]) cluster.freeBytes.set(node, minFreeBytes + 500);
  const { record } = await cluster.deposit(0, "roomy", someBytes(1000), { replicas: 3 });
  assert.deepEqual(record.holders.map(({ node }) => node).sort(), [n3, n4, n5]);
  for (const node of [n3, n4]) cluster.freeBytes.set(node, 0);
  const wantBody = () => assert.fail("the body was asked for");
  await assert.rejects(cluster.deposit(0, "no-room", someBytes(1000), { replicas: 3, wantBody }), {
    code: "not-enough-space",
  });
});

test("Deposit: an entry behind the sweep fence is not a deposit, and its copies are left to the sweeper", async () => {
  const litter = await cluster.litter();
  cluster.node(0).replication.interfere = async (command, order) => {
    if (command.type !== "deposit") return order();
    for (const { node, life, staged } of command.copies) {
      await cluster.node(1).replication.propose({ type: "sweep-fence", node, life, upTo: staged });
    }
    return order();
  };
  await assert.rejects(cluster.deposit(0, "fenced", someBytes(100), { replicas: 2 }), { code: "not-enough-nodes" });
  await assert.rejects(cluster.record(0, "fenced"), { code: "file-not-found" });
  assert.equal(await cluster.litter(), litter + 2);
});

test("Deposit: 256 MiB pass through in flat memory", { timeout: 60_000 }, async () => {
  const chunk = someBytes(64 * 1024);
  let largest = 0;
  async function* stream() {
    for (let sent = 0; sent < 256 * megabyte; sent += chunk.length) {
      if (sent % (16 * megabyte) === 0) largest = Math.max(largest, process.memoryUsage().arrayBuffers);
      yield Buffer.from(chunk);
    }
  }
  const before = process.memoryUsage().arrayBuffers;
  await cluster.deposit(0, "flat", someBytes(0), { body: stream(), declaredBytes: 256 * megabyte, replicas: 2 });
  assert.ok(largest - before < 64 * megabyte, `${Math.round((largest - before) / megabyte)} MiB more at the peak`);
});
