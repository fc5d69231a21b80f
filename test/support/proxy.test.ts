import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { PeerNetwork } from "./proxy.ts";

/** Two peers that are plain echo servers behind a network; `dial` opens a connection from n1 to n2. */
async function echoNetwork(t: TestContext) {
  const sockets: Socket[] = [];
  const listen = async () => {
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => undefined);
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    return (server.address() as AddressInfo).port;
  };
  const peers = [
    { id: "n1", port: await listen() },
    { id: "n2", port: await listen() },
  ];
  const network = await PeerNetwork.open(peers);
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await network.close();
  });
  const dial = async () => {
    const socket = connect(network.dialMap("n1")[String(peers[1]?.port)] ?? 0, "127.0.0.1");
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };
  return { network, dial };
}

/** What arrives within `ms`; undefined when nothing does. */
async function heard(socket: Socket, ms: number): Promise<string | undefined> {
  try {
    const [chunk] = (await once(socket, "data", { signal: AbortSignal.timeout(ms) })) as [Buffer];
    return chunk.toString();
  } catch {
    return undefined;
  }
}

test("Proxy: bytes pass both ways", async (t) => {
  const { dial } = await echoNetwork(t);
  const socket = await dial();
  socket.write("hello");
  assert.equal(await heard(socket, 1000), "hello");
});

test("Proxy: a cut holds bytes back, and heal lets them arrive", async (t) => {
  const { network, dial } = await echoNetwork(t);
  const socket = await dial();
  network.cut("n1", "n2");
  socket.write("held");
  assert.equal(await heard(socket, 100), undefined);
  network.heal();
  assert.equal(await heard(socket, 1000), "held");
});

test("Proxy: a cut one way lets the other way pass", async (t) => {
  const { network, dial } = await echoNetwork(t);
  const socket = await dial();
  socket.write("first");
  assert.equal(await heard(socket, 1000), "first");
  network.cutOneWay("n2", "n1");
  socket.write("second"); // reaches n2, whose echo is held
  assert.equal(await heard(socket, 100), undefined);
  network.cutOneWay("n1", "n2");
  network.heal();
  assert.equal(await heard(socket, 1000), "second");
});

test("Proxy: cuts overlap, and bytes pass once the last of them is healed", async (t) => {
  const { network, dial } = await echoNetwork(t);
  const socket = await dial();
  const [first, second] = [network.cut("n1", "n2"), network.isolate("n1")];
  socket.write("held");
  first();
  first(); // a second time does nothing
  assert.equal(await heard(socket, 100), undefined);
  second();
  assert.equal(await heard(socket, 1000), "held");
});

test("Proxy: jitter keeps the order, and ends with its disturbance", async (t) => {
  const { network, dial } = await echoNetwork(t);
  const socket = await dial();
  socket.setNoDelay(true);
  const heal = network.disturb([["n1", "n2"]], { delayMs: 5, jitterMs: 40 });
  const expected = "0123456789";
  let received = "";
  const all = new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString();
      if (received.length >= expected.length) resolve();
    });
  });
  for (const digit of expected) {
    socket.write(digit);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await all;
  assert.equal(received, expected);
  heal();
  network.disturb([["n1", "n2"]], { delayMs: 60_000 })();
  socket.write("at once");
  assert.equal(await heard(socket, 1000), "at once");
});

test("Proxy: a delay holds for each way", async (t) => {
  const { network, dial } = await echoNetwork(t);
  const socket = await dial();
  network.delay("n1", "n2", 60);
  const startedAt = performance.now();
  socket.write("slow");
  assert.equal(await heard(socket, 2000), "slow");
  assert.ok(performance.now() - startedAt >= 115, "the round trip was too fast");
});

test("Proxy: reset breaks what is open and welcomes new connections", async (t) => {
  const { network, dial } = await echoNetwork(t);
  const socket = await dial();
  socket.write("up");
  assert.equal(await heard(socket, 1000), "up");
  const closed = once(socket, "error");
  network.reset("n1", "n2");
  await closed;
  const again = await dial();
  again.write("again");
  assert.equal(await heard(again, 1000), "again");
});

test("Proxy: nothing is left of connections that are reset while they end", async (t) => {
  const { network, dial } = await echoNetwork(t);
  const socket = await dial();
  socket.on("error", () => undefined);
  network.cut("n1", "n2");
  socket.write("held, and the end behind it");
  socket.end();
  await once(socket, "finish");
  await heard(socket, 50);
  network.heal(); // passes both on, and the end of it is on its way
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await network.close();
  await closed;
  await new Promise((resolve) => setImmediate(resolve));
  const left = process.getActiveResourcesInfo().filter((resource) => resource === "TCPSocketWrap");
  assert.ok(left.length <= 1, `${left.length} sockets are left, not only the server's end`);
});

test("Proxy: more bytes than it holds pass in order", async (t) => {
  const { network, dial } = await echoNetwork(t);
  const socket = await dial();
  network.cut("n1", "n2");
  const sent = Buffer.alloc(5 << 20, "0123456789");
  socket.write(sent);
  const parts: Buffer[] = [];
  let received = 0;
  const all = new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      parts.push(chunk);
      received += chunk.length;
      if (received === sent.length) resolve();
    });
  });
  network.heal();
  await all;
  assert.ok(Buffer.concat(parts).equals(sent));
});
