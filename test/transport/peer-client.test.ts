import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, test } from "node:test";
import { DepositoError, type ErrorCode, hasCode } from "../../node/base/errors.ts";
import { logIndex, type NodeId, newBlobId, newIncarnation, parseClusterId } from "../../node/base/ids.ts";
import { InvariantError } from "../../node/base/invariant.ts";
import { answerProofHeader, Membership } from "../../node/transport/membership.ts";
import { decodeSnapshotChunk, encodeSnapshotChunk } from "../../node/transport/snapshot-codec.ts";
import type { SnapshotChunk, SnapshotCursor } from "../../node/transport/types.ts";
import { factsOf, Group, type NodeChanges, nodeId, ok, secret, startNode, type TestNode } from "./support/nodes.ts";

const cleanups: (() => unknown)[] = [];
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

async function start(group: Group, id: NodeId, changes?: NodeChanges): Promise<TestNode> {
  const node = await startNode(group, id, changes);
  cleanups.push(() => node.close());
  return node;
}

/** A door and a holder of the same group. */
async function pair(changes?: NodeChanges): Promise<{ group: Group; door: TestNode; holder: TestNode }> {
  const group = new Group();
  const [n1, n2] = [group.add("n1"), group.add("n2")];
  const holder = await start(group, n2, changes);
  return { group, door: await start(group, n1), holder };
}

function failsWith(code: ErrorCode): (error: unknown) => true {
  return (error) => {
    assert.ok(hasCode(error, code), `not ${code}: ${String(error)}`);
    return true;
  };
}

const bytesOf = (text: string) => Buffer.from(text);
const never = new AbortController().signal;

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

test("hello: a node says who it is, to who only knows its address and the secret", async () => {
  const { group, door, holder } = await pair();
  const stranger = group.directory(door.id, { incarnation: newIncarnation(), clusterId: undefined });
  const client = door.client({ directory: stranger });
  const hello = await client.hello(ok(group.members.get(holder.id)).address);
  assert.deepEqual(hello, { self: group.record(holder.id), roster: undefined });
});

test("hello: another secret, and another group, get no introduction", async () => {
  const { group, door, holder } = await pair();
  const { address } = ok(group.members.get(holder.id));
  await assert.rejects(door.client({ secret: "another secret at all" }).hello(address), failsWith("not-a-member"));
  const clusterId = ok(parseClusterId("99999999-2222-3333-4444-555555555555"));
  const other = door.client({ directory: group.directory(door.id, { clusterId }) });
  await assert.rejects(other.hello(address), failsWith("not-a-member"));
});

test("storeSmall: a blob lies on the peer when it is answered, with the peer's staged number", async () => {
  const { door, holder } = await pair();
  const bytes = bytesOf("a small blob");
  const facts = factsOf(bytes);
  const staged = await door.client().storeSmall(holder.id, facts, bytes);
  const kept = ok(holder.holder.blobs.get(facts.blobId));
  assert.deepEqual(kept, { facts, bytes, staged });
});

test("storeSmall: blobs that wait together travel together, each with its own answer", async () => {
  const { door, holder } = await pair();
  const client = door.client();
  const blobs = Array.from({ length: 100 }, (_, at) => bytesOf(`blob ${at}`));
  const facts = blobs.map((bytes) => factsOf(bytes));
  const staged = await Promise.all(blobs.map((bytes, at) => client.storeSmall(holder.id, ok(facts[at]), bytes)));
  assert.deepEqual(holder.holder.batches, [100]);
  assert.deepEqual(
    staged,
    facts.map(({ blobId }) => holder.holder.blobs.get(blobId)?.staged),
  );
});

test("storeSmall: without batching each blob travels alone", async () => {
  const { door, holder } = await pair();
  const client = door.client({ batching: false });
  const blobs = Array.from({ length: 20 }, (_, at) => bytesOf(`blob ${at}`));
  await Promise.all(blobs.map((bytes) => client.storeSmall(holder.id, factsOf(bytes), bytes)));
  assert.deepEqual(
    holder.holder.batches,
    Array.from({ length: 20 }, () => 1),
  );
});

test("storeSmall: at most three requests are under way, and the rest waits together", async () => {
  const { door, holder } = await pair();
  const gate = Promise.withResolvers<void>();
  holder.holder.beforeWrite = () => gate.promise;
  const client = door.client();
  const stored: Promise<unknown>[] = [];
  for (let at = 0; at < 10; at += 1) {
    const bytes = bytesOf(`blob ${at}`);
    stored.push(client.storeSmall(holder.id, factsOf(bytes), bytes));
    await new Promise(setImmediate);
  }
  gate.resolve();
  await Promise.all(stored);
  assert.deepEqual(holder.holder.batches, [1, 1, 1, 7]);
});

test("storeSmall: a batch is bounded in bytes, and one blob beyond the bound travels alone", async () => {
  const { door, holder } = await pair();
  const client = door.client();
  const blobs = [3, 3, 3, 8].map((mib) => Buffer.alloc(mib * 1024 * 1024, mib));
  await Promise.all(blobs.map((bytes) => client.storeSmall(holder.id, factsOf(bytes), bytes)));
  assert.deepEqual(
    holder.holder.batches.toSorted((one, other) => one - other),
    [1, 1, 2],
  );
});

test("storeSmall: a blob that arrives damaged fails alone", async () => {
  const { door, holder } = await pair();
  const client = door.client();
  const good = bytesOf("good");
  const results = await Promise.allSettled([
    client.storeSmall(holder.id, factsOf(good), good),
    client.storeSmall(holder.id, factsOf(bytesOf("true")), bytesOf("fals")),
  ]);
  assert.equal(results[0].status, "fulfilled");
  assert.ok(results[1].status === "rejected" && hasCode(results[1].reason, "digest-mismatch"));
});

test("storeSmall: the size of the facts is the size of the bytes, or it is a bug", async () => {
  const { door, holder } = await pair();
  const facts = { ...factsOf(bytesOf("four")), sizeBytes: 5 };
  await assert.rejects(door.client().storeSmall(holder.id, facts, bytesOf("four")), InvariantError);
});

test("Every call to a node that does not listen, or that nobody knows, fails as unreachable", async () => {
  const group = new Group();
  const [n1, n2] = [group.add("n1"), group.add("n2")];
  const door = await start(group, n1);
  const gone = await start(group, n2);
  await gone.close();
  const client = door.client();
  const bytes = bytesOf("x");
  const facts = factsOf(bytes);
  for (const to of [n2, nodeId("n9")]) {
    const calls = [
      () => client.storeSmall(to, facts, bytes),
      () => client.openSink(to, facts.blobId),
      () => client.readBlob(to, facts.blobId, { start: 0, end: 1 }, never),
      () => client.askToPull(to, n1, facts),
      () => client.discard(to, [facts.blobId]),
      () => client.snapshotChunk(to, undefined),
    ];
    for (const call of calls) await assert.rejects(call(), failsWith("peer-unreachable"), call.toString());
  }
});

test("Every call but hello of who is no member any more fails as not-a-member", async () => {
  const { group, door, holder } = await pair();
  const client = door.client({ directory: group.directory(door.id, { incarnation: newIncarnation() }) });
  const bytes = bytesOf("x");
  const facts = factsOf(bytes);
  const calls = [
    () => client.storeSmall(holder.id, facts, bytes),
    () => client.openSink(holder.id, facts.blobId),
    () => client.readBlob(holder.id, facts.blobId, { start: 0, end: 1 }, never),
    () => client.askToPull(holder.id, door.id, facts),
    () => client.discard(holder.id, [facts.blobId]),
    () => client.snapshotChunk(holder.id, undefined),
  ];
  for (const call of calls) await assert.rejects(call(), failsWith("not-a-member"), call.toString());
  assert.equal(holder.holder.blobs.size, 0);
});

test("A node that is still starting is unreachable to every call but hello", async () => {
  const { group, door, holder } = await pair({ services: () => undefined });
  const client = door.client();
  await client.hello(ok(group.members.get(holder.id)).address);
  await assert.rejects(client.snapshotChunk(holder.id, undefined), failsWith("peer-unreachable"));
  await assert.rejects(client.openSink(holder.id, newBlobId()), failsWith("peer-unreachable"));
});

test("A node that has no catalog to serve says so: others can tell it from one that will come", async () => {
  const notServing = () => new DepositoError("no-catalog", "n2 has none itself");
  const { door, holder } = await pair({ services: () => undefined, notServing });
  await assert.rejects(door.client().snapshotChunk(holder.id, undefined), failsWith("no-catalog"));
});

test("An answer that does not prove to come from the member asked is not believed", async () => {
  const { group, door, holder } = await pair();
  const impostor = createHttpServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "application/json" }).end('{"results":[1],"staged":1}');
  });
  impostor.listen(0, "127.0.0.1");
  await once(impostor, "listening");
  cleanups.push(() => impostor.close());
  ok(group.members.get(holder.id)).address = { host: "127.0.0.1", port: (impostor.address() as AddressInfo).port };
  const bytes = bytesOf("x");
  const client = door.client();
  await assert.rejects(client.storeSmall(holder.id, factsOf(bytes), bytes), failsWith("not-a-member"));
  await assert.rejects(client.openSink(holder.id, newBlobId()), failsWith("not-a-member"));
});

test("openSink: a blob written in chunks of any size, none and empty ones too, lies whole on the peer", async () => {
  const { door, holder } = await pair();
  const client = door.client();
  for (const sizes of [[], [0, 1, 0, 2], [1_000_000, 3, 70_000, 65_536]]) {
    const chunks = sizes.map((size, at) => Buffer.alloc(size, at + 1));
    const bytes = Buffer.concat(chunks);
    const facts = factsOf(bytes);
    const sink = await client.openSink(holder.id, facts.blobId);
    assert.equal(sink.node, holder.id);
    for (const chunk of chunks) await sink.write(chunk);
    const staged = await sink.commit(facts);
    assert.deepEqual(holder.holder.blobs.get(facts.blobId), { facts, bytes, staged });
    await sink.abort(); // after a commit it does nothing
  }
  assert.equal(holder.holder.aborted, 0);
});

test("openSink: a node without room says so before the first byte", async () => {
  const { door, holder } = await pair();
  holder.holder.refuseWith = new DepositoError("not-enough-space", "full");
  await assert.rejects(door.client().openSink(holder.id, newBlobId()), failsWith("not-enough-space"));
});

test("openSink: a disk that fills up in the middle fails the next writes, and nothing is kept", async () => {
  const { door, holder } = await pair();
  const sink = await door.client().openSink(holder.id, newBlobId());
  await sink.write(Buffer.alloc(10));
  holder.holder.refuseWith = new DepositoError("not-enough-space", "full");
  await assert.rejects(async () => {
    for (;;) await sink.write(Buffer.alloc(100_000));
  }, failsWith("not-enough-space"));
  assert.equal(holder.holder.blobs.size, 0);
});

test("openSink: bytes that are not those of the facts are refused, and nothing is kept", async () => {
  const { door, holder } = await pair();
  const facts = factsOf(bytesOf("these"));
  const sink = await door.client().openSink(holder.id, facts.blobId);
  await sink.write(bytesOf("those"));
  await assert.rejects(sink.commit(facts), failsWith("digest-mismatch"));
  assert.deepEqual([holder.holder.blobs.size, holder.holder.aborted], [0, 1]);
});

test("openSink: an aborted blob is not kept, and may be aborted twice", async () => {
  const { door, holder } = await pair();
  const aborted = Promise.withResolvers<void>();
  const sink = await door.client().openSink(holder.id, newBlobId());
  holder.holder.beforeWrite = async () => aborted.resolve();
  await sink.write(Buffer.alloc(300_000));
  await sink.abort();
  await sink.abort();
  await aborted.promise;
  while (holder.holder.aborted === 0) await new Promise(setImmediate);
  assert.equal(holder.holder.blobs.size, 0);
  await assert.rejects(sink.write(bytesOf("more")), failsWith("peer-unreachable"));
});

test("openSink: a node that dies in the middle fails the write, and the commit", async () => {
  const { door, holder } = await pair();
  const sink = await door.client().openSink(holder.id, newBlobId());
  await sink.write(Buffer.alloc(10));
  await holder.close();
  await assert.rejects(async () => {
    for (;;) await sink.write(Buffer.alloc(100_000));
  }, failsWith("peer-unreachable"));
  await assert.rejects(sink.commit(factsOf(bytesOf(""))), failsWith("peer-unreachable"));
});

test("openSink: a node that stops taking bytes fails the write after the deadline", async () => {
  const { door, holder } = await pair();
  const gate = Promise.withResolvers<void>();
  holder.holder.beforeWrite = () => gate.promise;
  const sink = await door.client({ deadlines: { progressMs: 200 } }).openSink(holder.id, newBlobId());
  await assert.rejects(async () => {
    for (;;) await sink.write(Buffer.alloc(1024 * 1024));
  }, failsWith("peer-unreachable"));
  gate.resolve();
});

test("openSink: a node that accepts the connection and says nothing is given up", async () => {
  const { group, door, holder } = await pair();
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket.on("error", () => {})));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  ok(group.members.get(holder.id)).address = { host: "127.0.0.1", port: (silent.address() as AddressInfo).port };
  const client = door.client({ deadlines: { openMs: 100, progressMs: 100 } });
  await assert.rejects(client.openSink(holder.id, newBlobId()), failsWith("peer-unreachable"));
  await assert.rejects(
    client.storeSmall(holder.id, factsOf(bytesOf("x")), bytesOf("x")),
    failsWith("peer-unreachable"),
  );
});

test("openSink: a commit that takes longer than the deadline succeeds, for the node shows that it lives", async () => {
  const { door, holder } = await pair();
  holder.holder.beforeCommit = () => new Promise((resolve) => setTimeout(resolve, 3_000));
  const facts = factsOf(bytesOf("slow"));
  const sink = await door.client({ deadlines: { progressMs: 2_000 } }).openSink(holder.id, facts.blobId);
  await sink.write(bytesOf("slow"));
  await sink.commit(facts);
  assert.equal(holder.holder.blobs.size, 1);
});

test("openSink: 256 MiB to a slow disk leave memory flat: the door is slowed down, not filled up", async () => {
  const { door, holder } = await pair();
  holder.holder.discardBytes = true;
  // One disk: what is written at once takes its turn.
  let turn = Promise.resolve();
  holder.holder.beforeWrite = () => {
    turn = turn.then(async () => {
      for (let pause = 0; pause < 2; pause += 1) await new Promise<void>((resolve) => setImmediate(resolve));
    });
    return turn;
  };
  const chunk = Buffer.alloc(1024 * 1024, 3);
  const hash = createHash("sha256");
  const sink = await door.client().openSink(holder.id, newBlobId());
  let highestBytes = 0;
  let farthestBytes = 0;
  const before = process.memoryUsage();
  for (let mib = 1; mib <= 256; mib += 1) {
    hash.update(chunk);
    await sink.write(chunk);
    const { arrayBuffers, external } = process.memoryUsage();
    highestBytes = Math.max(highestBytes, arrayBuffers + external - before.arrayBuffers - before.external);
    farthestBytes = Math.max(farthestBytes, mib * chunk.length - holder.holder.receivedBytes);
  }
  await sink.abort();
  const mib = (bytes: number) => Math.round(bytes / 1024 / 1024);
  // Both socket buffers and one chunk may be between the two; garbage that was not collected yet comes on top.
  assert.ok(mib(farthestBytes) <= 24, `${mib(farthestBytes)} MiB between door and disk`);
  assert.ok(mib(highestBytes) <= 160, `${mib(highestBytes)} MiB more memory`);
});

test("readBlob: exactly the bytes of the range arrive", async () => {
  const { door, holder } = await pair();
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
  const facts = factsOf(bytes);
  holder.holder.keep(facts, bytes);
  const client = door.client();
  for (const [start, end] of [
    [0, 300_000],
    [65_530, 65_540],
    [299_999, 300_000],
    [5, 5],
  ] as const) {
    const read = await readAll(await client.readBlob(holder.id, facts.blobId, { start, end }, never));
    assert.ok(read.equals(bytes.subarray(start, end)), `${start}-${end}`);
  }
});

test("readBlob: a blob that is not there, and one found damaged, are told at once and reported to their node", async () => {
  const { door, holder } = await pair();
  const client = door.client();
  const facts = factsOf(bytesOf("soon gone"));
  const read = () => client.readBlob(holder.id, facts.blobId, { start: 0, end: 4 }, never);
  await assert.rejects(read(), failsWith("blob-not-found"));
  holder.holder.keep(facts, bytesOf("soon gone"));
  holder.holder.damagedAfterBytes = 0;
  await assert.rejects(read(), failsWith("blob-damaged"));
  assert.deepEqual(holder.lost, [
    { blobId: facts.blobId, how: "gone" },
    { blobId: facts.blobId, how: "damaged" },
  ]);
});

test("readBlob: damage in the middle breaks the read off after the bytes that were right", async () => {
  const { door, holder } = await pair();
  const bytes = Buffer.alloc(1_000_000, 6);
  const facts = factsOf(bytes);
  holder.holder.keep(facts, bytes);
  holder.holder.damagedAfterBytes = 300_000;
  const chunks = await door.client().readBlob(holder.id, facts.blobId, { start: 0, end: bytes.length }, never);
  let received = 0;
  await assert.rejects(async () => {
    for await (const chunk of chunks) received += chunk.length;
  }, failsWith("peer-unreachable"));
  assert.ok(received < bytes.length);
  assert.deepEqual(holder.lost, [{ blobId: facts.blobId, how: "damaged" }]);
});

test("readBlob: a node that dies in the middle breaks the read off", async () => {
  const { door, holder } = await pair();
  const bytes = Buffer.alloc(30_000_000, 6);
  const facts = factsOf(bytes);
  holder.holder.keep(facts, bytes);
  const chunks = await door.client().readBlob(holder.id, facts.blobId, { start: 0, end: bytes.length }, never);
  await assert.rejects(async () => {
    for await (const chunk of chunks) {
      assert.ok(chunk.length > 0);
      await holder.close();
    }
  }, failsWith("peer-unreachable"));
});

test("readBlob: an answer that ends properly but short is not taken for the whole", async () => {
  const { group, door, holder } = await pair();
  const membership = new Membership({ secret, directory: group.directory(holder.id) });
  const short = createHttpServer((request, response) => {
    const call = { authorization: request.headers.authorization, method: "GET", path: ok(request.url) };
    const { nonce } = ok(membership.checkCall(call));
    response.writeHead(200, { [answerProofHeader]: membership.signAnswer(nonce) }).end("short");
  });
  short.listen(0, "127.0.0.1");
  await once(short, "listening");
  cleanups.push(() => short.close());
  ok(group.members.get(holder.id)).address = { host: "127.0.0.1", port: (short.address() as AddressInfo).port };
  const client = door.client();
  const chunks = await client.readBlob(holder.id, newBlobId(), { start: 0, end: 6 }, never);
  await assert.rejects(readAll(chunks), failsWith("peer-unreachable"));
  const fitting = await client.readBlob(holder.id, newBlobId(), { start: 0, end: 5 }, never);
  assert.equal((await readAll(fitting)).toString(), "short");
});

test("readBlob: a reader that has enough, and one that aborts, leave both nodes well", async () => {
  const { door, holder } = await pair();
  const bytes = Buffer.alloc(20_000_000, 6);
  const facts = factsOf(bytes);
  holder.holder.keep(facts, bytes);
  const client = door.client();
  const whole = { start: 0, end: bytes.length };
  for await (const chunk of await client.readBlob(holder.id, facts.blobId, whole, never)) {
    assert.ok(chunk.length > 0);
    break;
  }
  const reader = new AbortController();
  const reason = new Error("the client went away");
  await assert.rejects(async () => {
    for await (const chunk of await client.readBlob(holder.id, facts.blobId, whole, reader.signal)) {
      if (chunk.length > 0) reader.abort(reason);
    }
  }, reason);
  await assert.rejects(client.readBlob(holder.id, facts.blobId, whole, reader.signal), reason);
  assert.equal((await readAll(await client.readBlob(holder.id, facts.blobId, whole, never))).length, bytes.length);
  assert.deepEqual(holder.lost, []);
});

test("askToPull: the peer is asked by whom and for what, and may take longer than the deadline", async () => {
  const { door, holder } = await pair();
  holder.holder.beforePull = () => new Promise((resolve) => setTimeout(resolve, 3_500));
  const facts = factsOf(bytesOf("to be pulled"));
  const staged = await door.client({ deadlines: { progressMs: 2_000 } }).askToPull(holder.id, door.id, facts);
  assert.equal(staged, 77);
  assert.deepEqual(holder.holder.pulls, [{ from: door.id, facts }]);
});

test("askToPull: why the peer could not is told; trouble it had with a third node is not blamed on it", async () => {
  const { door, holder } = await pair();
  const facts = factsOf(bytesOf("to be pulled"));
  const ask = () => door.client().askToPull(holder.id, door.id, facts);
  holder.holder.refuseWith = new DepositoError("not-enough-space", "full");
  await assert.rejects(ask(), failsWith("not-enough-space"));
  holder.holder.refuseWith = new DepositoError("peer-unreachable", "n3 is gone");
  await assert.rejects(ask(), failsWith("peer-refused"));
  holder.holder.refuseWith = new TypeError("an ordinary mistake");
  await assert.rejects(ask(), failsWith("peer-refused"));
  assert.deepEqual(holder.fatal, []);
});

test("A failed disk, a damaged catalog and a bug are handed to the peer's own process, not told to the caller", async () => {
  const { door, holder } = await pair();
  const bytes = bytesOf("x");
  const failures = [
    new DepositoError("storage-failed", "EIO"),
    new DepositoError("catalog-damaged", "a wrong checksum"),
    new InvariantError("1 is not 2"),
  ];
  for (const failure of failures) {
    holder.holder.refuseWith = failure;
    await assert.rejects(door.client().storeSmall(holder.id, factsOf(bytes), bytes), failsWith("peer-unreachable"));
  }
  assert.deepEqual(holder.fatal, failures);
});

test("discard: the blobs are gone from the peer, any number of them", async () => {
  const { door, holder } = await pair();
  const blobs = Array.from({ length: 12_000 }, () => factsOf(bytesOf("x")));
  for (const facts of blobs) holder.holder.keep(facts, bytesOf("x"));
  await door.client().discard(
    holder.id,
    blobs.slice(1).map(({ blobId }) => blobId),
  );
  assert.deepEqual([...holder.holder.blobs.keys()], [blobs[0]?.blobId]);
});

test("snapshotChunk: cursor and rows arrive as they were given, whatever their bytes", async () => {
  const asked: (SnapshotCursor | undefined)[] = [];
  const chunk: SnapshotChunk = {
    session: "0123456789abcdef".repeat(2),
    applied: logIndex(2 ** 40),
    rows: [
      { key: Buffer.from([0, 255, 10]), value: Buffer.alloc(70_000, 1) },
      { key: Buffer.from("é"), value: Buffer.alloc(0) },
    ],
    last: false,
  };
  const { door, holder } = await pair({ snapshots: { chunk: async (_peer, at) => (asked.push(at), chunk) } });
  const client = door.client();
  const first = await client.snapshotChunk(holder.id, undefined);
  const cursor = { session: first.session, after: ok(first.rows.at(-1)).key };
  await client.snapshotChunk(holder.id, cursor);
  assert.deepEqual(first, chunk);
  assert.deepEqual(asked, [undefined, cursor]);
});

test("snapshotChunk: a chunk that arrives damaged counts as a broken connection, to be asked for again", async () => {
  const { group, door, holder } = await pair();
  const membership = new Membership({ secret, directory: group.directory(holder.id) });
  const bytes = encodeSnapshotChunk({ session: "00".repeat(16), applied: logIndex(7), rows: [], last: true });
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  const server = createHttpServer((request, response) => {
    const { authorization } = request.headers;
    const caller = ok(membership.checkCall({ authorization, method: "GET", path: ok(request.url) }));
    response.writeHead(200, { [answerProofHeader]: membership.signAnswer(caller.nonce) }).end(bytes);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  ok(group.members.get(holder.id)).address = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  await assert.rejects(door.client().snapshotChunk(holder.id, undefined), failsWith("peer-unreachable"));
});

test("snapshotChunk: a chunk with a flipped bit, or cut short, is refused", () => {
  const chunk = {
    session: "00".repeat(16),
    applied: logIndex(7),
    rows: [{ key: bytesOf("k"), value: bytesOf("value") }],
    last: true,
  };
  const bytes = encodeSnapshotChunk(chunk);
  assert.deepEqual(decodeSnapshotChunk(bytes), chunk);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(decodeSnapshotChunk(flipped), undefined, `bit ${bit}`);
  }
  for (let size = 0; size < bytes.length; size += 1)
    assert.equal(decodeSnapshotChunk(bytes.subarray(0, size)), undefined);
});
