import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { UploadBody } from "../../node/api/upload-body.ts";
import type { Clock } from "../../node/base/clock.ts";
import { DepositoError } from "../../node/base/errors.ts";
import { head, RawConnection } from "./support/raw-http.ts";

/** A clock whose timers fire only when told to. */
class ManualClock implements Clock {
  readonly armed = new Set<() => void>();
  monotonicMs(): number {
    return 0;
  }
  wallMs(): number {
    return 0;
  }
  after(_delayMs: number, task: () => void): () => void {
    this.armed.add(task);
    return () => this.armed.delete(task);
  }
  soon(task: () => void): void {
    setImmediate(task);
  }
}

describe("an upload's body", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  /** A request whose body is under way, as the server sees it. */
  async function receive(...lines: readonly string[]) {
    const connection = await RawConnection.open((server.address() as AddressInfo).port);
    const arrived = once(server, "request");
    connection.write(head("PUT / HTTP/1.1", "Host: x", ...lines));
    const [request, response] = (await arrived) as [IncomingMessage, ServerResponse];
    const clock = new ManualClock();
    const tooLarge = () => new DepositoError("file-too-large", "too large");
    const body = new UploadBody({ request, response, maxBytes: 1e9, tooLarge, idleMs: 100, clock });
    return { connection, request, clock, body };
  }

  test("the client's silence counts only while a chunk is awaited: a slow disk is not the client's fault", async () => {
    const { connection, clock, body } = await receive("Content-Length: 6");
    const chunks = body[Symbol.asyncIterator]();
    assert.equal(clock.armed.size, 0);
    const first = chunks.next();
    connection.write("abc");
    assert.equal(String((await first).value), "abc");
    assert.equal(clock.armed.size, 0, "the reader is busy now");
    const second = chunks.next();
    assert.equal(clock.armed.size, 1);
    for (const fire of clock.armed) fire();
    await assert.rejects(second, { code: "upload-timeout" });
    connection.socket.destroy();
  });

  test("a reader that does not read stops the socket: only a bounded part is taken into memory", async () => {
    const { connection, request, body } = await receive("Content-Length: 100000000");
    const chunks = body[Symbol.asyncIterator]();
    const sending = Buffer.alloc(1024 * 1024);
    for (let megabyte = 0; megabyte < 64; megabyte++) connection.write(sending);
    await chunks.next();
    while (!request.isPaused()) await delay(1);
    const taken = request.socket.bytesRead;
    await delay(50);
    assert.equal(request.socket.bytesRead, taken, "nothing is read while the reader rests");
    assert.ok(taken < 2 * 1024 * 1024, `${taken} bytes`);
    while (body.receivedBytes < 32 * 1024 * 1024) await chunks.next();
    connection.socket.destroy();
    await assert.rejects(
      async () => {
        while ((await chunks.next()).done !== true);
      },
      { code: "upload-aborted" },
    );
  });

  test("nothing is read, and no 100 Continue sent, before the first chunk is asked for", async () => {
    const { connection, request, body } = await receive("Content-Length: 3");
    connection.write("abc");
    await delay(20);
    assert.equal(request.readableFlowing, null);
    assert.equal(body.receivedBytes, 0);
    connection.socket.destroy();
  });
});
