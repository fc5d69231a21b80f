import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { closeServer } from "../node/listen.ts";

/** A server whose answers a test gives, and a client that keeps its connection. */
async function serving(t: TestContext) {
  const responses: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    responses.push(response);
    server.emit("asked");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const { port } = server.address() as AddressInfo;
  const ask = async () => {
    const asked = once(server, "asked");
    const sent = request({ port, host: "127.0.0.1", agent }).end();
    const answer = once(sent, "response");
    answer.catch(() => undefined);
    await asked;
    return { answer, response: responses.at(-1) as ServerResponse };
  };
  return { server, ask };
}

test("Closing a server: a request under way is finished, and its kept-alive connection does not hold the end up", async (t) => {
  const { server, ask } = await serving(t);
  const { answer, response } = await ask();
  const beganMs = performance.now();
  const closed = closeServer(server, 10_000);
  response.end("done");
  const [reply] = await answer;
  reply.resume();
  assert.equal(reply.statusCode, 200);
  await closed;
  assert.ok(performance.now() - beganMs < 5000);
});

test("Closing a server: a request that does not end is cut off after its time", async (t) => {
  const { server, ask } = await serving(t);
  const { answer } = await ask();
  await closeServer(server, 50);
  await assert.rejects(answer, { code: "ECONNRESET" });
});
