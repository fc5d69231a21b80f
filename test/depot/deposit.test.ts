import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { after, before, test } from "node:test";
import type { Sha256 } from "../../node/base/ids.ts";
import { chunksOf, DepotCluster, someBytes } from "../support/depot-cluster.ts";

let cluster: DepotCluster;
before(async () => {
  cluster = await DepotCluster.start({ nodes: 3, reconciling: false, limits: { maxFileBytes: 10_000_000 } });
});
after(() => cluster.stop());

const sizes = [0, 1, 65_535, 65_536, 65_537, 262_144, 3_000_001];

for (const sizeBytes of sizes) {
  for (const declared of [true, false]) {
    test(`Deposit: ${sizeBytes} bytes, ${declared ? "declared" : "chunked"}, are read back from every node`, async () => {
      const name = `sizes/${sizeBytes}-${declared}`;
      const bytes = someBytes(sizeBytes);
      const more = declared ? {} : { declaredBytes: undefined };
      const { outcome, record } = await cluster.deposit(1, name, bytes, { replicas: 2, ...more });
      assert.equal(outcome, "created");
      assert.equal(record.blob.sizeBytes, sizeBytes);
      assert.equal(record.blob.sha256, sha256(bytes));
      assert.deepEqual(
        record.holders.map(({ state }) => state),
        ["present", "present"],
      );
      for (const at of [0, 1, 2])
        assert.ok((await cluster.retrieve(at, name)).equals(bytes), `read through node ${at}`);
    });
  }
}

for (const replicas of [1, 2, 3]) {
  test(`Deposit: ${replicas} replicas are durable on exactly ${replicas} nodes when it is answered`, async () => {
    const { record } = await cluster.deposit(0, `counts/${replicas}`, someBytes(100_000), { replicas });
    assert.equal(record.holders.length, replicas);
    for (const [at, id] of cluster.ids.entries()) {
      const isHolder = record.holders.some(({ node, state }) => node === id && state === "present");
      const isOnDisk = (await cluster.blobsOn(at)).some(({ blobId }) => blobId === record.blob.blobId);
      assert.equal(isOnDisk, isHolder, `on the disk of ${id}`);
    }
  });
}

test("Deposit: other bytes replace a file, keep its count and content type, and raise its version", async () => {
  const first = await cluster.deposit(0, "replaced", someBytes(10), { replicas: 3, contentType: "text/plain" });
  const second = await cluster.deposit(1, "replaced", someBytes(11));
  assert.equal(second.outcome, "replaced");
  assert.equal(second.record.replicas, 3);
  assert.equal(second.record.contentType, "text/plain");
  assert.ok(second.record.version > first.record.version);
});

test("Deposit: the same bytes again change nothing and leave no second blob", async () => {
  for (const sizeBytes of [100, 100_000]) {
    const bytes = someBytes(sizeBytes);
    const { record } = await cluster.deposit(0, `again/${sizeBytes}`, bytes, { replicas: 2 });
    const again = await cluster.deposit(1, `again/${sizeBytes}`, bytes);
    assert.equal(again.outcome, "unchanged");
    assert.deepEqual(again.record, record);
  }
});

test("Deposit: the same small bytes with another count change the count without storing them", async () => {
  const bytes = someBytes(1000);
  await cluster.deposit(0, "recounted", bytes, { replicas: 1 });
  cluster.calls.length = 0;
  const { outcome, record } = await cluster.deposit(0, "recounted", bytes, { replicas: 2 });
  assert.equal(outcome, "replicas-changed");
  assert.deepEqual(
    record.holders.map(({ state }) => state),
    ["present", "missing"],
  );
  assert.deepEqual(cluster.calls, []);
});

test("Deposit: identical bytes are answered before a waiting client sends them", async () => {
  const bytes = someBytes(500_000);
  await cluster.deposit(0, "expected", bytes, { replicas: 1 });
  for (const declaredBytes of [bytes.length, undefined]) {
    const { outcome } = await cluster.deposit(2, "expected", bytes, {
      declaredBytes,
      declaredSha256: sha256(bytes),
      bodyAwaited: true,
      body: unreadable(),
      wantBody: () => assert.fail("the body was asked for"),
    });
    assert.equal(outcome, "unchanged");
  }
});

test("Deposit: a waiting client is asked exactly once for bytes that do not stand there", async () => {
  const bytes = someBytes(500_000);
  let asked = 0;
  const { outcome } = await cluster.deposit(2, "asked", bytes, {
    declaredSha256: sha256(bytes),
    bodyAwaited: true,
    wantBody: () => {
      asked += 1;
    },
  });
  assert.equal(outcome, "created");
  assert.equal(asked, 1);
});

test("Deposit: a digest that stands there does not cover up a body that has another", async () => {
  const bytes = someBytes(1000);
  await cluster.deposit(0, "stale-digest", bytes);
  await assert.rejects(cluster.deposit(0, "stale-digest", someBytes(1000), { declaredSha256: sha256(bytes) }), {
    code: "digest-mismatch",
  });
});

test("Deposit: a wrong digest or size keeps nothing, small or large", async () => {
  for (const sizeBytes of [1000, 300_000]) {
    const bytes = someBytes(sizeBytes);
    const before = await cluster.litter();
    const refused = (more: Parameters<DepotCluster["deposit"]>[3]) => cluster.deposit(0, "wrong", bytes, more);
    await assert.rejects(refused({ declaredSha256: sha256(someBytes(1)) }), { code: "digest-mismatch" });
    await assert.rejects(refused({ declaredBytes: sizeBytes + 1 }), { code: "size-mismatch" });
    await assert.rejects(refused({ declaredBytes: sizeBytes - 1 }), { code: "size-mismatch" });
    assert.equal(await cluster.litter(), before);
    await assert.rejects(cluster.record(0, "wrong"), { code: "file-not-found" });
  }
});

test("Deposit: a body above the limit is refused before it is asked for where its size is declared", async () => {
  const wantBody = () => assert.fail("the body was asked for");
  await assert.rejects(cluster.deposit(0, "huge", someBytes(1), { declaredBytes: 10_000_001, wantBody }), {
    code: "file-too-large",
  });
});

test("Deposit: a chunked body is refused at the byte that passes the limit, and nothing is kept", async () => {
  const litter = await cluster.litter();
  let sent = 0;
  async function* endless() {
    for (;;) {
      sent += 65_536;
      yield someBytes(65_536);
    }
  }
  await assert.rejects(cluster.deposit(0, "endless", someBytes(0), { declaredBytes: undefined, body: endless() }), {
    code: "file-too-large",
  });
  assert.ok(sent <= 10_000_000 + 2 * 65_536, `${sent} bytes were taken`);
  assert.equal(await cluster.litter(), litter);
});

test("Deposit: replicas out of 1 to the number of nodes are refused with the range, and no body is asked for", async () => {
  const wantBody = () => assert.fail("the body was asked for");
  for (const replicas of [0, -1, 1.5, 4, 1e9, Number.NaN]) {
    await assert.rejects(cluster.deposit(0, "counted", someBytes(1), { replicas, wantBody }), {
      code: "replicas-out-of-range",
      message: /1 to 3/,
    });
  }
});

test("Deposit: preconditions that do not hold are refused before the body is asked for", async () => {
  const { record } = await cluster.deposit(0, "guarded", someBytes(10));
  const wantBody = () => assert.fail("the body was asked for");
  const ifNoneMatch = { type: "any" } as const;
  const ifMatch = { type: "tags", tags: ['"other"'] } as const;
  const guarded = (preconditions: object) => {
    const both = { ifMatch: undefined, ifNoneMatch: undefined, ...preconditions };
    return cluster.deposit(0, "guarded", someBytes(10), { preconditions: both, wantBody });
  };
  await assert.rejects(guarded({ ifNoneMatch }), { code: "precondition-failed" });
  await assert.rejects(guarded({ ifMatch }), { code: "precondition-failed" });
  assert.deepEqual(await cluster.record(0, "guarded"), record);
});

test("Deposit: of two that create only, one wins; the other is refused in the log and its copies are removed", async () => {
  const preconditions = { ifMatch: undefined, ifNoneMatch: { type: "any" } } as const;
  const litter = await cluster.litter();
  // Both see no file before their bodies end; the log decides.
  const [started, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  async function* held() {
    started.resolve();
    await go.promise;
    yield someBytes(200_000);
  }
  const late = cluster.deposit(1, "only", someBytes(0), { body: held(), declaredBytes: undefined, preconditions });
  await started.promise;
  const early = await cluster.deposit(0, "only", someBytes(20), { preconditions, replicas: 2 });
  go.resolve();
  await assert.rejects(late, { code: "precondition-failed" });
  assert.deepEqual(await cluster.record(2, "only"), early.record);
  assert.equal(await cluster.litter(), litter + 2);
});

test("Deposit: a client that goes away in mid-upload leaves nothing", async () => {
  const litter = await cluster.litter();
  const gone = new Error("gone");
  async function* broken() {
    yield someBytes(150_000);
    throw gone;
  }
  await assert.rejects(cluster.deposit(0, "gone", someBytes(0), { body: broken(), declaredBytes: 1_000_000 }), gone);
  assert.equal(await cluster.litter(), litter);
});

test("Deposit: a body in chunks of one byte arrives whole, in few writes", async () => {
  const bytes = someBytes(150_000);
  cluster.calls.length = 0;
  await cluster.deposit(0, "dribble", bytes, { body: chunksOf(bytes, 1), replicas: 1 });
  assert.ok((await cluster.retrieve(0, "dribble")).equals(bytes));
  const writes = cluster.calls.filter(({ type }) => type === "write");
  assert.equal(writes.length, 3);
});

test("Deposit: a client that is not registered is refused and leaves nothing", async () => {
  const litter = await cluster.litter();
  const stranger = "00000000-0000-4000-8000-000000000000" as typeof cluster.client;
  await assert.rejects(cluster.deposit(0, "stranger", someBytes(10), { clientId: stranger }), {
    code: "unauthenticated",
  });
  assert.equal(await cluster.litter(), litter);
});

function sha256(bytes: Uint8Array): Sha256 {
  return hash("sha256", bytes) as Sha256;
}

async function* unreadable(): AsyncGenerator<Uint8Array> {
  yield assert.fail("the body was read");
}
