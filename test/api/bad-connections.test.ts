import assert from "node:assert/strict";
import type { Server } from "node:http";
import { afterEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { hasCode } from "../../node/base/errors.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { head, RawConnection, rawRequest } from "./support/raw-http.ts";
import { startApi } from "./support/running-api.ts";

describe("connections that misbehave", async () => {
  const api = await startApi({
    uploadIdleMs: 200,
    maxFileBytes: 1_000_000,
    limits: { headersTimeoutMs: 300 },
  });
  const { depot, port, client } = api;
  const put = (name: string, ...lines: readonly string[]) =>
    head(`PUT /v1/files/${name} HTTP/1.1`, "Host: x", `Authorization: ${client.basic}`, ...lines);

  afterEach(async () => {
    assert.equal((await rawRequest(port, head("GET /livez HTTP/1.1", "Host: x"))).status, 200, "the node lives");
    await noConnections(api.server);
    assert.equal(depot.depositsUnderWay, 0, "no deposit is left behind");
    assert.equal(depot.storedFiles, 0, "nothing is kept");
    assert.deepEqual(api.fatal, []);
  });

  test("slow header fields: 408 and closed", async () => {
    const connection = await RawConnection.open(port);
    connection.write("GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    assertProblem(await connection.reply(), "upload-timeout");
    assert.equal(await connection.closed(), "");
  });

  test("a body that stops coming: 408 and closed", async () => {
    const connection = await RawConnection.open(port);
    connection.write(`${put("slow", "Content-Length: 10")}abc`);
    assert.match(assertProblem(await connection.reply(), "upload-timeout"), /200 ms/);
    await connection.closed();
  });

  test("a body that was asked for and never comes: 408", async () => {
    const connection = await RawConnection.open(port);
    connection.write(put("slow", "Content-Length: 10", "Expect: 100-continue"));
    assert.equal((await connection.reply()).status, 100);
    assertProblem(await connection.reply(), "upload-timeout");
    connection.socket.destroy();
  });

  test("a JSON body that stops coming: 408", async () => {
    const connection = await RawConnection.open(port);
    connection.write(
      head("POST /v1/clients HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 10"),
    );
    assertProblem(await connection.reply(), "upload-timeout");
    connection.socket.destroy();
  });

  test("a body that keeps coming, slowly, is waited for", async () => {
    const connection = await RawConnection.open(port);
    connection.write(put("dribble", "Content-Length: 6"));
    for (const byte of "dribbl") {
      await delay(100);
      connection.write(byte);
    }
    assert.equal((await connection.reply()).status, 201);
    connection.socket.destroy();
    await rawRequest(port, head("DELETE /v1/files/dribble HTTP/1.1", "Host: x", `Authorization: ${client.basic}`));
  });

  test("a client that goes away in the middle: the deposit ends with upload-aborted", async () => {
    for (const fields of [["Content-Length: 10"], ["Transfer-Encoding: chunked"]]) {
      const connection = await RawConnection.open(port);
      connection.write(`${put("aborted", ...fields)}${fields[0]?.startsWith("C") ? "abc" : "3\r\nabc\r\n"}`);
      while (depot.depositsUnderWay === 0) await delay(1);
      connection.socket.destroy();
      await noConnections(api.server);
      while (depot.depositsUnderWay > 0) await delay(1);
      assert.ok(hasCode(depot.depositErrors.at(-1), "upload-aborted"));
    }
  });

  test("a body shorter than declared: 400", async () => {
    const connection = await RawConnection.open(port, { allowHalfOpen: true });
    connection.socket.end(`${put("short", "Content-Length: 10")}abc`);
    assertProblem(await connection.reply(), "invalid-request");
    await connection.closed();
  });

  test("a broken chunk: 400", async () => {
    const connection = await RawConnection.open(port);
    connection.write(`${put("chunks", "Transfer-Encoding: chunked")}3\r\nabc\r\nnonsense\r\n`);
    assertProblem(await connection.reply(), "invalid-request");
    await connection.closed();
  });

  test("a length over the limit is refused at once, and a client that sends on regardless sees the answer", async () => {
    const connection = await RawConnection.open(port);
    connection.write(put("large", "Content-Length: 50000000"));
    const sending = sendUntilClosed(connection, Buffer.alloc(64 * 1024));
    assertProblem(await connection.reply(), "file-too-large");
    await connection.closed();
    assert.ok((await sending) < 50_000_000, "the rest is not read");
  });

  test("a chunked body over the limit is refused when it is found out", async () => {
    const connection = await RawConnection.open(port);
    connection.write(put("large", "Transfer-Encoding: chunked"));
    const sending = sendUntilClosed(connection, Buffer.from(`10000\r\n${"x".repeat(65_536)}\r\n`));
    assertProblem(await connection.reply(), "file-too-large");
    await connection.closed();
    await sending;
    assert.ok(hasCode(depot.depositErrors.at(-1), "file-too-large"));
  });

  test("a client that reads only after it has sent a body nobody wanted still finds the answer", async () => {
    const connection = await RawConnection.open(port);
    connection.socket.pause();
    connection.write(put("a//b", "Content-Length: 300000"));
    // Were the connection closed with the answer, the first part would be answered by a reset, and the second fail on it.
    for (let part = 0; part < 3; part++) {
      await delay(50);
      connection.write(Buffer.alloc(100_000));
    }
    await delay(50);
    connection.socket.resume();
    assertProblem(await connection.reply(), "invalid-name");
    await connection.closed();
  });

  test("a JSON body declared too long is refused before it is read", async () => {
    const connection = await RawConnection.open(port);
    const fields = ["Host: x", "Content-Type: application/json", "Content-Length: 65537"];
    connection.write(head("POST /v1/clients HTTP/1.1", ...fields));
    assertProblem(await connection.reply(), "invalid-body");
    connection.socket.destroy();
  });

  test("a small body that nobody wanted leaves the connection usable", async () => {
    const connection = await RawConnection.open(port);
    connection.write(`${put("a//b", "Content-Length: 5")}bytes`);
    assertProblem(await connection.reply(), "invalid-name");
    connection.write(head("GET /livez HTTP/1.1", "Host: x"));
    assert.equal((await connection.reply()).status, 200);
    connection.socket.destroy();
  });

  const nonsense: readonly (readonly [string, string])[] = [
    ["no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00"],
    ["an unknown method", head("DEPOSIT /v1/files/a HTTP/1.1", "Host: x")],
    ["an unknown version", head("GET / HTTP/9.9", "Host: x")],
    ["a path with a space", head("GET /v1/files/a b HTTP/1.1", "Host: x")],
    ["a bare line feed between fields", "GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n"],
    ["a target that is no path", head("GET nonsense HTTP/1.1", "Host: x")],
  ];
  for (const [title, text] of nonsense) {
    test(`${title}: 400 invalid-request and closed`, async () => {
      const connection = await RawConnection.open(port);
      connection.write(Buffer.from(text, "latin1"));
      assertProblem(await connection.reply(), "invalid-request");
      assert.equal(await connection.closed(), "");
    });
  }

  test("nonsense after an answered request: 400 invalid-request and closed", async () => {
    const connection = await RawConnection.open(port);
    connection.write(head("GET /livez HTTP/1.1", "Host: x"));
    assert.equal((await connection.reply()).status, 200);
    connection.write("nonsense\r\n\r\n");
    assertProblem(await connection.reply(), "invalid-request");
    await connection.closed();
  });

  test("targets that Express cannot parse still get a problem document", async () => {
    for (const target of ["http://[::1", "*", "//", "/%", "/problems/%zz", "http://x:y:z/"]) {
      const reply = await rawRequest(port, head(`GET ${target} HTTP/1.1`, "Host: x"));
      assert.ok(reply.status === 404 || reply.status === 400, `${target}: ${reply.status}`);
      assertProblem(reply, reply.status === 404 ? "no-such-route" : "invalid-request");
    }
  });

  test("CONNECT is refused: this is no proxy", async () => {
    assertProblem(await rawRequest(port, head("CONNECT x:80 HTTP/1.1", "Host: x")), "no-such-route");
  });

  test("header fields beyond 16 KiB: 431 and closed", async () => {
    const connection = await RawConnection.open(port);
    connection.write(head("GET /livez HTTP/1.1", "Host: x", `X-Filler: ${"x".repeat(20 * 1024)}`));
    assertProblem(await connection.reply(), "headers-too-large");
    await connection.closed();
  });

  test("garbage behind a whole request never overtakes its answer", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    depot.beforeDecision = promise;
    const connection = await RawConnection.open(port);
    connection.write(`${put("first", "Content-Length: 5")}bytes and more than declared\r\n\r\n`);
    while (depot.depositsUnderWay === 0) await delay(1);
    resolve();
    assert.equal((await connection.reply()).status, 201);
    assertProblem(await connection.reply(), "invalid-request");
    await connection.closed();
    await rawRequest(port, head("DELETE /v1/files/first HTTP/1.1", "Host: x", `Authorization: ${client.basic}`));
  });
});

describe("more requests under way than the node takes", async () => {
  const api = await startApi({ limits: { requestsUnderWay: 1 } });

  test("are answered 429 with Retry-After, and taken again afterwards", async () => {
    const connection = await RawConnection.open(api.port);
    connection.write(
      head("PUT /v1/files/a HTTP/1.1", "Host: x", `Authorization: ${api.client.basic}`, "Content-Length: 5"),
    );
    while (api.depot.depositsUnderWay === 0) await delay(1);
    const refused = await rawRequest(api.port, head("GET /livez HTTP/1.1", "Host: x"));
    assertProblem(refused, "too-many-requests");
    assert.equal(refused.headers["retry-after"], "1");
    connection.write("bytes");
    assert.equal((await connection.reply()).status, 201);
    assert.equal((await rawRequest(api.port, head("GET /livez HTTP/1.1", "Host: x"))).status, 200);
    connection.socket.destroy();
  });
});

/** Sends the chunk over and over until the other side ends the connection; answers how many bytes were handed over. */
async function sendUntilClosed({ socket }: RawConnection, chunk: Uint8Array): Promise<number> {
  let sent = 0;
  while (!socket.destroyed && !socket.readableEnded && sent < 50_000_000) {
    sent += chunk.length;
    if (socket.write(chunk)) await new Promise(setImmediate);
    else
      await Promise.race([
        new Promise((go) => socket.once("drain", go)),
        new Promise((go) => socket.once("close", go)),
      ]);
  }
  return sent;
}

async function noConnections(server: Server): Promise<void> {
  const deadline = performance.now() + 5000;
  for (;;) {
    const count = await new Promise<number>((resolve, reject) =>
      server.getConnections((error, open) => (error === null ? resolve(open) : reject(error))),
    );
    if (count === 0) return;
    assert.ok(performance.now() < deadline, `${count} connections are still open`);
    await delay(5);
  }
}
