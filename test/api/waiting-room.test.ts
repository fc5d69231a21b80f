import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import supertest from "supertest";
import { defaultApiLimits } from "../../node/api/context.ts";
import { createWaitingRoom } from "../../node/api/waiting-room.ts";
import { systemClock } from "../../node/base/clock.ts";
import type { NodeId } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { createMetrics } from "../../node/base/metrics.ts";
import { assertProblem } from "./support/problem-assertions.ts";

describe("the waiting room", async () => {
  const fatal: unknown[] = [];
  const server = createWaitingRoom({
    self: "n1" as NodeId,
    metrics: createMetrics(),
    logger: silentLogger,
    clock: systemClock,
    limits: defaultApiLimits,
    onFatal: (error) => fatal.push(error),
    reasons: () => ["the catalog is damaged", "n2 has none either"],
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => server.close());
  const http = supertest(server);

  test("the node lives, is not ready, and says why", async () => {
    assert.deepEqual((await http.get("/livez")).body, { live: true, node: "n1" });
    const ready = await http.get("/readyz");
    assert.equal(ready.status, 503);
    assert.deepEqual(ready.body, { ready: false, reasons: ["the catalog is damaged", "n2 has none either"] });
  });

  test("metrics and the pages about problems are there", async () => {
    assert.equal((await http.get("/metrics")).status, 200);
    assert.match((await http.get("/problems/no-quorum")).text, /<h1>/);
  });

  test("everything else is answered with the reasons, with and without credentials", async () => {
    for (const asked of [
      http.get("/v1/cluster").set("Authorization", "Bearer whatever"),
      http.put("/v1/files/a").send("bytes"),
      http.post("/v1/clients").send({ label: "me" }),
      http.get("/nowhere"),
    ]) {
      const reply = await asked;
      assertProblem(reply, "no-quorum");
      assert.match(reply.body.detail, /the catalog is damaged; n2 has none either/);
      assert.equal(typeof reply.headers["retry-after"], "string");
    }
    assert.deepEqual(fatal, []);
  });

  test("a client that waits for leave to send its body is answered at once", async () => {
    const { port } = server.address() as AddressInfo;
    const sent = request({ port, method: "PUT", path: "/v1/files/a", headers: { Expect: "100-continue" } });
    sent.on("continue", () => assert.fail("the body is not wanted"));
    sent.flushHeaders();
    const [reply] = (await once(sent, "response")) as [IncomingMessage];
    assert.equal(reply.statusCode, 503);
    sent.destroy();
  });
});
