import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { clusterStatus } from "../../client/wire.ts";
import { DepositoError } from "../../node/base/errors.ts";
import type { NodeId } from "../../node/base/ids.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { head, RawConnection } from "./support/raw-http.ts";
import { adminToken, startApi } from "./support/running-api.ts";

const operator = { Authorization: `Bearer ${adminToken}` };
const n2 = "n2" as NodeId;

describe("membership", async () => {
  const { http, depot } = await startApi();
  const peer = { host: "10.0.0.4", port: 4104 };

  test("GET /v1/cluster tells the membership of each node", async () => {
    const { nodes } = clusterStatus.parse((await http.get("/v1/cluster").set(operator)).body);
    assert.deepEqual(new Set(nodes.map(({ membership }) => membership)), new Set(["voter"]));
  });

  test("POST /v1/cluster/nodes adds the node, 202 with what it is so far", async () => {
    const reply = await http.post("/v1/cluster/nodes").set(operator).send({ id: "n4", peer });
    assert.equal(reply.status, 202);
    assert.deepEqual(reply.body, { id: "n4", membership: "learner" });
    assert.deepEqual(depot.changes.at(-1), { add: "n4", peer });
  });

  test("DELETE /v1/cluster/nodes/{id} removes it, and gives up data only where that is said", async () => {
    const reply = await http.delete("/v1/cluster/nodes/n2").set(operator);
    assert.deepEqual([reply.status, reply.body], [202, { id: "n2", membership: "leaving" }]);
    assert.deepEqual(depot.changes.at(-1), { remove: "n2", acceptLoss: false });
    await http.delete("/v1/cluster/nodes/n2?accept-data-loss").set(operator);
    assert.deepEqual(depot.changes.at(-1), { remove: "n2", acceptLoss: true });
  });

  test("POST /v1/cluster/leader hands leadership over, 200 once it has", async () => {
    const reply = await http.post("/v1/cluster/leader").set(operator).send({ to: "n2" });
    assert.deepEqual([reply.status, reply.body], [200, { leader: "n2", term: 4 }]);
    assert.deepEqual(depot.changes.at(-1), { lead: "n2" });
  });

  const bodies: readonly (readonly [string, unknown, RegExp])[] = [
    ["no peer", { id: "n4" }, /'peer'/],
    ["an id with a capital", { id: "N4", peer }, /'id'.*a-z/],
    ["a port that is none", { id: "n4", peer: { host: "h", port: 70_000 } }, /'peer.port'/],
    ["no host", { id: "n4", peer: { host: "", port: 1 } }, /'peer.host'/],
    ["a key nobody knows", { id: "n4", peer, role: "voter" }, /role/],
    ["a list", [], /object/],
  ];
  for (const [what, body, says] of bodies) {
    test(`POST /v1/cluster/nodes with ${what} is an invalid body`, async () => {
      const before = depot.changes.length;
      const reply = await http
        .post("/v1/cluster/nodes")
        .set(operator)
        .send(body as object);
      assert.match(assertProblem(reply, "invalid-body"), says);
      assert.equal(depot.changes.length, before);
    });
  }

  test("a leader that is no id, and a path that can be none, are refused", async () => {
    assertProblem(await http.post("/v1/cluster/leader").set(operator).send({ to: "N 1" }), "invalid-body");
    assertProblem(await http.post("/v1/cluster/leader").set(operator), "invalid-body");
    assertProblem(await http.delete("/v1/cluster/nodes/N%20A").set(operator), "node-not-found");
    assertProblem(await http.delete("/v1/cluster/nodes/n%zz").set(operator), "invalid-request");
    assertProblem(await http.delete("/v1/cluster/nodes/n1?force").set(operator), "invalid-query");
    assertProblem(await http.post("/v1/cluster/nodes?x").set(operator).send({ id: "n4", peer }), "invalid-query");
  });

  for (const code of [
    "node-not-found",
    "node-busy",
    "already-a-member",
    "last-voter",
    "node-mismatch",
    "node-unreachable",
  ] as const) {
    test(`what is refused as ${code} says what to do`, async () => {
      depot.failure = new DepositoError(code, "do this");
      assert.equal(assertProblem(await http.delete("/v1/cluster/nodes/n1").set(operator), code), "do this");
    });
  }
});

describe("GET /v1/cluster/events", async () => {
  const clock = new ManualClock();
  const api = await startApi({ clock, limits: { eventStreams: 3 } });
  const { port, depot, client } = api;
  const request = (authorization: string) =>
    head("GET /v1/cluster/events HTTP/1.1", "Host: x", `Authorization: ${authorization}`);
  const open = async (authorization = `Bearer ${adminToken}`): Promise<RawConnection> => {
    const connection = await RawConnection.open(port);
    connection.write(request(authorization));
    await connection.until('"term":3}\n\n');
    return connection;
  };
  const gone = async (): Promise<void> => {
    while (depot.eventListeners.size > 0) await new Promise((resolve) => setImmediate(resolve));
  };
  const tell = (count: number): void => {
    for (const listener of depot.eventListeners)
      for (let each = 0; each < count; each++) listener({ type: "node", node: n2, state: "down" });
  };

  test("begins with how things stand, and tells each change as it comes; for clients too", async () => {
    const connection = await open(client.basic);
    tell(1);
    for (const listener of depot.eventListeners) listener({ type: "member", node: n2, membership: "removed" });
    const text = await connection.until('"removed"}\n\n');
    assert.match(text, /^HTTP\/1.1 200 OK\r\n/);
    assert.match(text, /\r\nContent-Type: text\/event-stream; charset=utf-8\r\n/);
    assert.match(text, /event: leader\ndata: {"leader":"n1","term":3}\n\n/);
    assert.match(text, /event: node\ndata: {"id":"n2","state":"down"}\n\n/);
    assert.match(text, /event: member\ndata: {"id":"n2","membership":"removed"}\n\n/);
    connection.socket.destroy();
    await gone();
  });

  test("says from time to time that it lives", async () => {
    const connection = await open();
    clock.advance(15_000);
    await connection.until(": keep-alive\n\n");
    connection.socket.destroy();
    await gone();
  });

  test("a client that does not read is cut off, whatever waits for it", async () => {
    const connection = await open();
    connection.socket.pause();
    for (let rounds = 0; depot.eventListeners.size > 0; rounds++) {
      assert.ok(rounds < 10_000, "it was never cut off");
      tell(500);
      await new Promise((resolve) => setImmediate(resolve));
    }
    connection.socket.destroy();
  });

  test("one stream too many is refused, and one that ends makes room", async () => {
    const connections = [await open(), await open(), await open()];
    const refused = await api.http.get("/v1/cluster/events").set("Authorization", `Bearer ${adminToken}`);
    assertProblem(refused, "too-many-requests");
    for (const connection of connections) connection.socket.destroy();
    await gone();
    (await open()).socket.destroy();
    await gone();
  });

  test("a client that is gone before it was let in takes no place", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    depot.beforeCredentials = promise;
    const arrived = once(api.server, "request");
    const connection = await RawConnection.open(port);
    connection.write(request(client.basic));
    const [{ socket }] = (await arrived) as [{ socket: Socket }];
    connection.socket.destroy();
    await once(socket, "close");
    resolve();
    await new Promise((next) => setImmediate(next));
    assert.equal(depot.eventListeners.size, 0);
  });

  test("all streams end, in order, when the node stops", async () => {
    const connection = await open();
    api.endStreams();
    await connection.until("\r\n0\r\n\r\n");
    await gone();
    connection.socket.destroy();
  });

  test("HEAD tells the type and ends", async () => {
    const reply = await api.http.head("/v1/cluster/events").set("Authorization", `Bearer ${adminToken}`);
    assert.equal(reply.status, 200);
    assert.match(reply.headers["content-type"] ?? "", /^text\/event-stream/);
  });
});
