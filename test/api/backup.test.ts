import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { describe, test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { adminToken, startApi } from "./support/running-api.ts";

describe("GET /v1/cluster/backup", async () => {
  const api = await startApi();
  const operator = `Bearer ${adminToken}`;

  test("answers operators with the backup, as it comes", async () => {
    api.backup = async function* () {
      for (const piece of ["one", "two", "three"]) yield Buffer.from(piece);
    };
    const reply = await api.http.get("/v1/cluster/backup").set("Authorization", operator).buffer(true);
    assert.equal(reply.status, 200);
    assert.equal(reply.headers["content-type"], "application/octet-stream");
    assert.match(reply.headers["content-disposition"] ?? "", /attachment/);
    assert.equal(Buffer.from(reply.body as Buffer).toString(), "onetwothree");
    const head = await api.http.head("/v1/cluster/backup").set("Authorization", operator);
    assert.deepEqual([head.status, head.text], [200, undefined]);
  });

  test("is a problem as long as nothing was sent", async () => {
    const reasons = [
      new DepositoError("no-quorum", "no majority answered"),
      new DepositoError("too-many-requests", "a backup of this node is being made already"),
    ] as const;
    for (const reason of reasons) {
      api.backup = () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(reason) }) });
      assertProblem(
        await api.http.get("/v1/cluster/backup").set("Authorization", operator),
        reason.code as "no-quorum",
      );
    }
    assertProblem(await api.http.get("/v1/cluster/backup?x=1").set("Authorization", operator), "invalid-query");
  });

  test("breaks off when it fails in the middle: what came does not look complete", async () => {
    api.backup = async function* () {
      yield Buffer.alloc(100);
      throw new DepositoError("catalog-damaged", "a wrong checksum");
    };
    await assert.rejects(async () => {
      await api.http.get("/v1/cluster/backup").set("Authorization", operator).buffer(true);
    });
  });

  test("is not read on when the operator goes away", async () => {
    const left = Promise.withResolvers<void>();
    let pieces = 0;
    api.backup = async function* () {
      try {
        for (;;) {
          pieces += 1;
          yield Buffer.alloc(1 << 20);
        }
      } finally {
        left.resolve();
      }
    };
    const headers = { Authorization: operator };
    const sent = request({ port: api.port, path: "/v1/cluster/backup", headers }).end();
    sent.on("error", () => undefined);
    const [reply] = await once(sent, "response");
    reply.on("error", () => undefined);
    await once(reply, "readable");
    sent.destroy();
    await left.promise;
    assert.ok(pieces < 100, `${pieces} MiB for nobody`);
    assert.deepEqual(api.fatal, []);
  });
});
