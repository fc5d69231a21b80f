import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { after, test } from "node:test";
import { systemClock } from "../../node/base/clock.ts";
import { logIndex, newIncarnation, parseClusterId, term } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { createMetrics } from "../../node/base/metrics.ts";
import { encodeFrame } from "../../node/transport/frame-codec.ts";
import { Membership } from "../../node/transport/membership.ts";
import { createPeerStreams } from "../../node/transport/peer-streams.ts";
import { acceptHeader, proveDial, streamPath, streamProtocol } from "../../node/transport/stream-handshake.ts";
import type { PeerDirectory, PeerFrame } from "../../node/transport/types.ts";
import { Group, type NodeChanges, ok, RecordedEvents, secret, startNode, type TestNode } from "./support/nodes.ts";

const cleanups: (() => unknown)[] = [];
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

async function start(group: Group, name: string, changes?: NodeChanges): Promise<TestNode> {
  const id = group.members.has(name as never) ? (name as never) : group.add(name);
  const node = await startNode(group, id, changes);
  cleanups.push(() => node.close());
  return node;
}

async function pair(): Promise<{ group: Group; one: TestNode; two: TestNode }> {
  const group = new Group();
  const one = await start(group, "n1");
  const two = await start(group, "n2");
  // n1 started before it knew of n2, as a node that learns of a new member does.
  await Promise.all([one.events.until("connected"), two.events.until("connected")]);
  return { group, one, two };
}

function heartbeat(round: number): PeerFrame {
  return { type: "raft", message: { type: "heartbeat-request", term: term(1), commitIndex: logIndex(0), round } };
}

/** A server that a test plays itself; its connections end with the test. */
async function rawServer(onConnection: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

test("Streams: each node sends to the other, in order, over streams they dialed themselves", async () => {
  const { one, two } = await pair();
  for (let round = 0; round < 1_000; round += 1) assert.equal(one.streams.send(two.id, heartbeat(round)), true);
  two.streams.send(one.id, heartbeat(7));
  await Promise.all([two.events.until("frame", 1_000), one.events.until("frame", 1)]);
  const frames = two.events.all.filter((event) => event.type === "frame");
  assert.deepEqual(
    frames.map(({ from, frame }) => ({ from, frame })),
    Array.from({ length: 1_000 }, (_, round) => ({ from: one.id, frame: heartbeat(round) })),
  );
});

test("Streams: append-requests with large entries arrive whole", async () => {
  const { one, two } = await pair();
  const data = Buffer.alloc(700_000, 5);
  const entries = [1, 2, 3].map((at) => ({ index: logIndex(at), term: term(1), kind: "command" as const, data }));
  const previous = { index: logIndex(0), term: term(0) };
  const frame: PeerFrame = {
    type: "raft",
    message: { type: "append-request", term: term(1), previous, entries, commitIndex: logIndex(0) },
  };
  assert.equal(one.streams.send(two.id, frame), true);
  await two.events.until("frame");
  const received = two.events.all.find((event) => event.type === "frame");
  assert.deepEqual(structuredClone(received), structuredClone({ type: "frame", from: one.id, frame }));
});

test("Streams: a frame to a node without a stream is dropped and counted", async () => {
  const group = new Group();
  const [n1, n2] = [group.add("n1"), group.add("n2")];
  const metrics = createMetrics();
  const streams = createPeerStreams({
    directory: group.directory(n1),
    secret,
    events: new RecordedEvents(),
    clock: systemClock,
    random: () => 0.5,
    logger: silentLogger,
    metrics,
    maxQueuedBytes: 1_000,
  });
  cleanups.push(() => streams.close());
  assert.equal(streams.send(n2, heartbeat(1)), false);
  assert.match(await metrics.metrics(), /deposito_peer_frames_dropped_total\{peer="n2"\} 1/);
  assert.match(await metrics.metrics(), /deposito_peer_connected\{peer="n2"\} 0/);
});

test("Streams: a killed process is refused within milliseconds, and found again when it returns", async () => {
  const group = new Group();
  const one = await start(group, "n1");
  const n2 = group.add("n2");
  const child = spawn(process.execPath, [new URL("support/stream-child.ts", import.meta.url).pathname], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  cleanups.push(() => child.kill("SIGKILL"));
  const members = [...group.members].map(([id, member]) => [id, member]);
  child.stdin.end(JSON.stringify({ self: n2, members }));
  ok(group.members.get(n2)).address = { host: "127.0.0.1", port: await portOf(child) };
  await one.events.until("connected");
  // A stream that lived is dialed anew at once: this is the one to be killed.
  await settled(one);

  const killedMs = performance.now();
  child.kill("SIGKILL");
  await one.events.until("refused");
  const noticedMs = performance.now() - killedMs;
  assert.deepEqual(
    one.events.all.map(({ type }) => type),
    ["connected", "disconnected", "refused"],
  );
  assert.ok(noticedMs < 1_000, `${noticedMs} ms`);
  assert.equal(one.streams.isConnected(n2), false);

  await start(group, "n2");
  await one.events.until("connected", 2);
});

async function portOf(child: ChildProcess): Promise<number> {
  const [line] = (await once(ok(child.stdout ?? undefined), "data")) as [Buffer];
  return Number(line.toString());
}

/** Until the stream has been open for so long that its end is the peer's own. */
async function settled(node: TestNode): Promise<void> {
  await new Promise<void>((resolve) => systemClock.after(150, resolve));
  assert.equal(node.events.count("disconnected"), 0);
}

test("Streams: a peer that only ever refused is not reported as gone", async () => {
  const group = new Group();
  group.add("n1");
  group.add("n2");
  const { server, port } = await rawServer(() => {});
  server.close();
  ok(group.members.get("n2" as never)).address = { host: "127.0.0.1", port };
  const one = await start(group, "n1");
  // Long enough for the first three attempts.
  await new Promise<void>((resolve) => systemClock.after(120, resolve));
  assert.deepEqual(one.events.all, []);
});

test("Streams: a peer that stops reading gets frames up to the bound, then they are dropped", async () => {
  const group = new Group();
  const n1 = group.add("n1");
  const n2 = group.add("n2");
  // An honest acceptor that reads the proof and nothing after it.
  const { port } = await rawServer((socket) => {
    const membership = new Membership({ secret, directory: group.directory(n2) });
    socket.once("data", (head: Buffer) => {
      const authorization = /authorization: (.*)\r\n/i.exec(head.toString())?.[1];
      const caller = ok(membership.checkCall({ authorization, method: "GET", path: streamPath }));
      const nonce = "n".repeat(22);
      const { incarnation } = ok(group.members.get(n2));
      const dialer = ok(group.members.get(n1)).incarnation;
      const transcript = [n1, dialer, n2, incarnation, ok(group.clusterId), caller.nonce, nonce];
      const mac = membership.prove("accept", transcript).toString("base64url");
      socket.write(
        `HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: x\r\n${acceptHeader}: ${incarnation} ${nonce} ${mac}\r\n\r\n`,
      );
      socket.once("data", () => {
        socket.pause();
        for (const part of encodeFrame({ type: "pong" })) socket.write(part);
      });
    });
  });
  ok(group.members.get(n2)).address = { host: "127.0.0.1", port };
  const maxQueuedBytes = 256 * 1024;
  const one = await start(group, "n1", { maxQueuedBytes });
  await one.events.until("connected");
  const frame: PeerFrame = { type: "proposals", proposals: [Buffer.alloc(60_000)] };
  let sent = 0;
  // What the kernel takes comes before what is queued here; it takes a few MiB.
  for (let round = 0; round < 500 && one.streams.send(n2, frame); round += 1) {
    sent += 1;
    await new Promise(setImmediate);
  }
  assert.ok(sent < 500, `${sent} frames taken`);
  assert.equal(one.streams.isConnected(n2), true);
});

/** A dialer that a test plays itself. */
async function dial(
  node: TestNode,
  directory: PeerDirectory,
  changes: { readonly secret?: string; readonly authorization?: string; readonly proof?: Uint8Array } = {},
): Promise<{ status: number | undefined; socket: Socket | undefined; authorization: string }> {
  const membership = new Membership({ secret: changes.secret ?? secret, directory });
  const call = membership.signCall({ to: node.id, method: "GET", path: streamPath });
  const authorization = changes.authorization ?? call.authorization;
  const request = httpRequest({
    port: (node.server.address() as AddressInfo).port,
    path: streamPath,
    agent: false,
    headers: { Connection: "Upgrade", Upgrade: streamProtocol, Authorization: authorization },
  });
  request.end();
  const refused = once(request, "response").then(([response]) => ({ response: response as IncomingMessage }));
  const upgraded = once(request, "upgrade").then(([response, socket]) => ({
    response: response as IncomingMessage,
    socket: socket as Socket,
  }));
  const answer: { response: IncomingMessage; socket?: Socket } = await Promise.race([refused, upgraded]);
  const { socket } = answer;
  if (socket !== undefined) {
    cleanups.push(() => socket.destroy());
    socket.on("error", () => {});
    const accepted = String(answer.response.headers[acceptHeader]);
    const proof = proveDial(membership, directory, { peer: node.id, call, answer: accepted });
    socket.write(changes.proof ?? ok(proof));
  } else answer.response.resume();
  return { status: answer.response.statusCode, socket, authorization };
}

test("Handshake: strangers get 401, those who are no members 403, and neither a stream", async () => {
  const group = new Group();
  const n1 = group.add("n1");
  const two = await start(group, "n2");
  const otherGroup = ok(parseClusterId("99999999-2222-3333-4444-555555555555"));
  const statuses = [
    await dial(two, group.directory(n1), { secret: "another secret altogether" }),
    await dial(two, group.directory(n1), { authorization: "" }),
    await dial(two, group.directory(n1, { clusterId: otherGroup })),
    await dial(two, group.directory(n1, { incarnation: newIncarnation() })),
  ].map(({ status }) => status);
  assert.deepEqual(statuses, [401, 401, 403, 403]);
});

test("Handshake: a recorded request is a stranger's, and a proof made for another handshake opens nothing", async () => {
  const group = new Group();
  const n1 = group.add("n1");
  const two = await start(group, "n2");
  const first = await dial(two, group.directory(n1));
  assert.equal(first.status, 101);
  await once(ok(first.socket), "data"); // the welcome
  const replayed = await dial(two, group.directory(n1), { authorization: first.authorization });
  assert.equal(replayed.status, 401);
  const guessed = await dial(two, group.directory(n1), { proof: Buffer.alloc(32, 1) });
  await once(ok(guessed.socket), "close");
  assert.equal(ok(guessed.socket).bytesRead > 0, true);
  ok(first.socket).write(Buffer.concat(encodeFrame(heartbeat(1))));
  await two.events.until("frame");
});

test("Handshake: a dialer believes no one who cannot prove to be the peer", async () => {
  const group = new Group();
  group.add("n1");
  const n2 = group.add("n2");
  let dialed = 0;
  const twice = Promise.withResolvers<void>();
  const { port } = await rawServer((socket) => {
    dialed += 1;
    if (dialed === 2) twice.resolve();
    const accept = `${ok(group.members.get(n2)).incarnation} ${"n".repeat(22)} ${"m".repeat(43)}`;
    socket.write(`HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: x\r\n${acceptHeader}: ${accept}\r\n\r\n`);
    for (const part of encodeFrame({ type: "pong" })) socket.write(part);
  });
  ok(group.members.get(n2)).address = { host: "127.0.0.1", port };
  const one = await start(group, "n1");
  await twice.promise;
  assert.equal(one.streams.isConnected(n2), false);
  assert.deepEqual(one.events.all, []);
});

test("Streams: malformed frames, and a status in another's name, close the connection and reach nobody", async () => {
  const group = new Group();
  const n1 = group.add("n1");
  const two = await start(group, "n2");
  const status: PeerFrame = {
    type: "status",
    status: {
      node: two.id,
      api: { host: "127.0.0.1", port: 1 },
      term: term(0),
      match: logIndex(0),
      applied: logIndex(0),
      files: 0,
      bytes: 0,
      freeBytes: 0,
      takesBytes: true,
      lostPromises: false,
      checkpoint: undefined,
    },
  };
  for (const bytes of [
    Buffer.alloc(9, 0xff),
    Buffer.concat(encodeFrame(status)),
    Buffer.concat(encodeFrame({ type: "pong" })),
  ]) {
    const { socket } = await dial(two, group.directory(n1));
    await once(ok(socket), "data");
    ok(socket).write(bytes);
    await once(ok(socket), "close");
  }
  assert.deepEqual(two.events.all, []);
});

test("Streams: what a node sends after another life of its id was taken in reaches nobody", async () => {
  const { group, one, two } = await pair();
  one.streams.send(two.id, heartbeat(1));
  await two.events.until("frame");
  // Only n2 knows of it so far; n1 is a process that was paused meanwhile, and goes on.
  const former = ok(group.members.get(one.id));
  group.members.set(one.id, { ...former, incarnation: newIncarnation() });
  one.streams.send(two.id, heartbeat(2));
  await one.events.until("disconnected");
  assert.equal(two.events.count("frame"), 1);
});

test("Streams: who dials again replaces the former stream", async () => {
  const group = new Group();
  const n1 = group.add("n1");
  const two = await start(group, "n2");
  const former = await dial(two, group.directory(n1));
  await once(ok(former.socket), "data");
  const formerClosed = once(ok(former.socket), "close");
  const next = await dial(two, group.directory(n1));
  await Promise.all([formerClosed, once(ok(next.socket), "data")]);
  ok(next.socket).write(Buffer.concat(encodeFrame(heartbeat(3))));
  await two.events.until("frame");
});

test("Streams: a peer that accepts and then stays silent is dialed anew", async () => {
  const group = new Group();
  const n1 = group.add("n1");
  const n2 = group.add("n2");
  const two = await start(group, "n2");
  // Lets nothing back after the handshake, as a frozen process or a cut cable does.
  const { port } = await rawServer((socket) => {
    const onward = connect((two.server.address() as AddressInfo).port, "127.0.0.1");
    cleanups.push(() => onward.destroy());
    onward.on("error", () => {});
    socket.on("data", (chunk: Buffer) => onward.write(chunk));
    let answers = 0;
    onward.on("data", (chunk: Buffer) => {
      answers += 1;
      if (answers <= 2) socket.write(chunk);
    });
  });
  ok(group.members.get(n2)).address = { host: "127.0.0.1", port };
  const events = new RecordedEvents();
  const timing = { handshakeMs: 1_000, pingMs: 30, maxUnansweredPings: 3 };
  const streams = createPeerStreams(
    {
      directory: group.directory(n1),
      secret,
      events,
      clock: systemClock,
      random: () => 0.5,
      logger: silentLogger,
      metrics: undefined,
      maxQueuedBytes: 1_000_000,
    },
    timing,
  );
  cleanups.push(() => streams.close());
  await events.until("connected", 2);
  assert.deepEqual(
    events.all.map(({ type }) => type),
    ["connected", "disconnected", "connected"],
  );
});
