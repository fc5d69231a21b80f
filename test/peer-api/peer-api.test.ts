import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import type { Express } from "express";
import { systemClock } from "../../node/base/clock.ts";
import { DepositoError } from "../../node/base/errors.ts";
import { newBlobId, newIncarnation } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { createPeerApi } from "../../node/peer-api/server.ts";
import { Membership } from "../../node/transport/membership.ts";
import { finalPiece, pieceHead, sinkPreamble } from "../../node/transport/sink-framing.ts";
import type { PeerDirectory } from "../../node/transport/types.ts";
import { factsOf, Group, type NodeChanges, secret, startNode, type TestNode } from "../transport/support/nodes.ts";

const cleanups: (() => unknown)[] = [];
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

const group = new Group();
const door = group.add("n1");

async function start(changes?: NodeChanges): Promise<TestNode> {
  const node = await startNode(group, group.add("n2"), changes);
  cleanups.push(() => node.close());
  return node;
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body?: Uint8Array | string;
  readonly type?: string;
  readonly authorization?: string;
  readonly as?: PeerDirectory;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Any request, signed by `n1` unless it says otherwise. */
async function send(node: TestNode, sent: Sent): Promise<Reply> {
  const membership = new Membership({ secret, directory: sent.as ?? group.directory(door) });
  const signed = membership.signCall({ to: node.id, method: sent.method, path: sent.path });
  const authorization = sent.authorization ?? signed.authorization;
  const request = httpRequest({
    port: (node.server.address() as AddressInfo).port,
    method: sent.method,
    path: sent.path,
    agent: false,
    headers: {
      ...(authorization === "" ? {} : { authorization }),
      ...(sent.type === undefined ? {} : { "content-type": sent.type }),
    },
  });
  request.end(sent.body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

/** Every route of the app, as Express holds it. */
function routesOf(app: Express): readonly { method: string; path: string; handlers: readonly string[] }[] {
  const layers = (app.router as unknown as { readonly stack: readonly RouterLayer[] }).stack;
  return layers.flatMap(({ route }) =>
    route === undefined
      ? []
      : Object.keys(route.methods).map((method) => ({
          method: method.toUpperCase(),
          path: route.path,
          handlers: route.stack.map(({ handle }) => handle.name),
        })),
  );
}

interface RouterLayer {
  readonly route?: {
    readonly path: string;
    readonly methods: Readonly<Record<string, boolean>>;
    readonly stack: readonly { readonly handle: { readonly name: string } }[];
  };
}

const routes = routesOf(
  createPeerApi({
    directory: group.directory(door),
    secret,
    hello: () => ({ self: group.record(door), roster: undefined }),
    services: () => undefined,
    notServing: () => new DepositoError("no-quorum", "starting"),
    clock: systemClock,
    logger: silentLogger,
    maxSmallBatchBytes: 1,
    fatal: () => {},
  }),
);

test("Peer API: the router is read, and holds the seven routes", () => {
  assert.deepEqual(routes.map(({ method, path }) => `${method} ${path}`).toSorted(), [
    "GET /peer/blobs/:blobId",
    "GET /peer/hello",
    "GET /peer/snapshot",
    "POST /peer/blobs",
    "POST /peer/blobs/:blobId/pull",
    "POST /peer/discard",
    "PUT /peer/blobs/:blobId",
  ]);
});

test("Peer API: every route but hello begins with the check of membership", () => {
  const unchecked = routes.filter(({ handlers }) => handlers[0] !== "memberOnly").map(({ path }) => path);
  assert.deepEqual(unchecked, ["/peer/hello"]);
});

test("Peer API: a stranger gets the same 401 on every route and path, and learns nothing", async () => {
  const node = await start();
  const paths = routes.map(({ method, path }) => ({ method, path: path.replace(":blobId", newBlobId()) }));
  paths.push({ method: "GET", path: "/" }, { method: "DELETE", path: "/nowhere" }, { method: "GET", path: "/%" });
  const replies = await Promise.all(
    paths.flatMap((sent) => [
      send(node, { ...sent, authorization: "" }),
      send(node, { ...sent, authorization: "Basic bjE6c2VjcmV0" }),
      send(node, { ...sent, authorization: "Deposito-Peer n1 x" }),
    ]),
  );
  const [first] = replies;
  assert.equal(first?.status, 401);
  assert.match(String(first.headers["content-type"]), /^application\/problem\+json/);
  assert.equal(JSON.parse(first.body).type, "/problems/unauthenticated");
  for (const { status, headers, body } of replies) {
    assert.deepEqual({ status, body }, { status: 401, body: first.body });
    assert.deepEqual([headers["x-powered-by"], headers["deposito-peer-proof"]], [undefined, undefined]);
  }
});

test("Peer API: an older life of a member gets 403 on every route but hello", async () => {
  const node = await start();
  const older = group.directory(door, { incarnation: newIncarnation() });
  for (const { method, path } of routes) {
    const reply = await send(node, { method, path: path.replace(":blobId", newBlobId()), as: older });
    assert.equal(reply.status, path === "/peer/hello" ? 200 : 403, path);
    if (reply.status === 403) assert.equal(JSON.parse(reply.body).type, "/problems/not-a-member");
  }
});

test("Peer API: a call recorded and sent again is a stranger's", async () => {
  const node = await start();
  const membership = new Membership({ secret, directory: group.directory(door) });
  const call = { to: node.id, method: "GET", path: "/peer/hello" };
  const { authorization } = membership.signCall(call);
  assert.equal((await send(node, { ...call, authorization })).status, 200);
  assert.equal((await send(node, { ...call, authorization })).status, 401);
});

test("Peer API: a node that is still starting answers hello, and 503 to the rest", async () => {
  const node = await start({ services: () => undefined });
  assert.equal((await send(node, { method: "GET", path: "/peer/hello" })).status, 200);
  assert.equal((await send(node, { method: "GET", path: "/peer/snapshot" })).status, 503);
});

const blobPath = `/peer/blobs/${newBlobId()}`;
const json = "application/json";
const octets = "application/octet-stream";
const bad: readonly (Sent & { readonly status: number; readonly slug: string })[] = [
  { method: "GET", path: "/peer/nothing", status: 404, slug: "no-such-route" },
  { method: "GET", path: "/peer/blobs/%E0%A4%A", status: 400, slug: "invalid-body" },
  { method: "GET", path: "/peer/blobs/no-uuid?start=0&end=1", status: 400, slug: "invalid-request" },
  { method: "GET", path: blobPath, status: 400, slug: "invalid-request" },
  { method: "GET", path: `${blobPath}?start=5&end=4`, status: 400, slug: "invalid-request" },
  { method: "GET", path: `${blobPath}?start=-1&end=4`, status: 400, slug: "invalid-request" },
  { method: "GET", path: `${blobPath}?start=0&end=9999999999999999`, status: 400, slug: "invalid-request" },
  { method: "GET", path: `${blobPath}?start=0&end=1`, status: 404, slug: "blob-not-found" },
  { method: "GET", path: "/peer/snapshot?session=x&after=y", status: 400, slug: "invalid-request" },
  { method: "GET", path: "/peer/snapshot?after=aa", status: 400, slug: "invalid-request" },
  { method: "POST", path: "/peer/blobs", status: 400, slug: "invalid-body" },
  { method: "POST", path: "/peer/blobs", body: "{}", type: json, status: 400, slug: "invalid-body" },
  { method: "POST", path: "/peer/blobs", body: Buffer.alloc(99, 9), type: octets, status: 400, slug: "invalid-body" },
  {
    method: "POST",
    path: "/peer/blobs",
    body: Buffer.alloc(10 * 1024 * 1024),
    type: octets,
    status: 413,
    slug: "file-too-large",
  },
  { method: "POST", path: "/peer/discard", body: "{", type: json, status: 400, slug: "invalid-body" },
  { method: "POST", path: "/peer/discard", body: '{"blobIds":["x"]}', type: json, status: 400, slug: "invalid-body" },
  { method: "POST", path: "/peer/discard", body: "[]", type: json, status: 400, slug: "invalid-body" },
  { method: "POST", path: "/peer/discard", body: '{"__proto__":1}', type: json, status: 400, slug: "invalid-body" },
  { method: "POST", path: `${blobPath}/pull`, body: "{}", type: json, status: 400, slug: "invalid-body" },
  {
    method: "POST",
    path: `${blobPath}/pull`,
    body: JSON.stringify({ from: "n1", facts: factsOf(Buffer.of(1)) }),
    type: json,
    status: 400,
    slug: "invalid-body",
  },
  { method: "PUT", path: blobPath, body: "nonsense", type: octets, status: 400, slug: "invalid-body" },
  { method: "PUT", path: blobPath, body: sinkPreamble, type: octets, status: 400, slug: "invalid-body" },
  {
    method: "PUT",
    path: blobPath,
    body: Buffer.concat([sinkPreamble, pieceHead(1), Buffer.of(1), finalPiece(factsOf(Buffer.of(1)))]),
    type: octets,
    status: 400,
    slug: "invalid-body",
  },
];

test("Peer API: what cannot be understood is answered with a problem document, and keeps nothing", async () => {
  const node = await start();
  for (const { status, slug, ...sent } of bad) {
    const reply = await send(node, sent);
    const said = { status: reply.status, type: JSON.parse(reply.body).type };
    assert.deepEqual(said, { status, type: `/problems/${slug}` }, `${sent.method} ${sent.path} ${String(sent.body)}`);
    assert.doesNotMatch(reply.body, /\.ts|node_modules| at /);
  }
  assert.equal(node.holder.blobs.size, 0);
  assert.deepEqual(node.fatal, []);
});

test("Peer API: a peer that closes in the middle of a body leaves nothing and harms nobody", async () => {
  const node = await start();
  const { port } = node.server.address() as AddressInfo;
  const membership = new Membership({ secret, directory: group.directory(door) });
  const bodies = [
    Buffer.alloc(0),
    Buffer.from(sinkPreamble),
    Buffer.concat([sinkPreamble, pieceHead(500), Buffer.alloc(100)]),
  ];
  for (const body of bodies) {
    const { authorization } = membership.signCall({ to: node.id, method: "PUT", path: blobPath });
    const socket = connect(port, "127.0.0.1");
    socket.write(
      `PUT ${blobPath} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nContent-Length: 1000\r\n\r\n`,
    );
    socket.write(body);
    await once(socket, "data"); // 102: the blob is staged
    socket.resetAndDestroy();
  }
  while (node.holder.aborted < bodies.length) await new Promise<void>((resolve) => setImmediate(resolve));
  assert.equal(node.holder.blobs.size, 0);
  assert.equal((await send(node, { method: "GET", path: "/peer/hello" })).status, 200);
});

test("Peer API: an upgrade to anything else is refused", async () => {
  const node = await start();
  const { port } = node.server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  socket.write("GET /peer/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  assert.match(await text(socket), /^HTTP\/1.1 401 Unauthorized/);
});
