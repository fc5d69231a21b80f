import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { depositAnswer } from "../../client/wire.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { head, RawConnection } from "./support/raw-http.ts";
import { newClient, startApi } from "./support/running-api.ts";

describe("PUT /v1/files/{name}", async () => {
  const api = await startApi();
  const { http, client, depot } = api;
  const put = (name: string) => http.put(`/v1/files/${name}`).set("Authorization", client.basic);

  test("deposits a new file: 201, outcome created, the record, its ETag and Location", async () => {
    const reply = await put("photos/b%C3%A4r%20one.txt")
      .set("Content-Type", "text/plain")
      .set("Deposito-Replicas", "3")
      .send("bytes");
    assert.equal(reply.status, 201);
    const answer = depositAnswer.strict().parse(reply.body);
    assert.equal(answer.outcome, "created");
    assert.equal(answer.name, "photos/bär one.txt");
    assert.equal(answer.size, 5);
    assert.equal(answer.sha256, sha256("bytes"));
    assert.equal(answer.contentType, "text/plain");
    assert.equal(answer.replicas, 3);
    assert.deepEqual(
      answer.placement.map(({ state }) => state),
      ["present", "present", "present"],
    );
    assert.equal(reply.headers["etag"], `"${sha256("bytes")}"`);
    assert.equal(reply.headers["location"], "/v1/files/photos/b%C3%A4r%20one.txt");
  });

  test("tells replaced, unchanged and replicas-changed apart, all 200", async () => {
    await put("outcomes").send("first");
    const outcomes = [
      await put("outcomes").send("second"),
      await put("outcomes").send("second"),
      await put("outcomes").set("Deposito-Replicas", "3").send("second"),
      await put("outcomes").set("Deposito-Replicas", "3").send("second"),
    ];
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      [200, 200, 200, 200],
    );
    assert.deepEqual(
      outcomes.map(({ body }) => body.outcome),
      ["replaced", "unchanged", "replicas-changed", "unchanged"],
    );
  });

  test("takes empty files, with and without a declared length", async () => {
    const declared = await put("empty/declared").set("Content-Length", "0");
    const chunked = await put("empty/chunked").set("Transfer-Encoding", "chunked");
    assert.deepEqual([declared.status, declared.body.size], [201, 0]);
    assert.deepEqual([chunked.status, chunked.body.size], [201, 0]);
  });

  test("takes chunked bodies and many MiB, and keeps every byte", async () => {
    const bytes = Buffer.alloc(9 * 1024 * 1024 + 17, "deposit every byte ");
    const connection = await RawConnection.open(api.port);
    connection.write(
      head("PUT /v1/files/large HTTP/1.1", "Host: x", `Authorization: ${client.basic}`, "Transfer-Encoding: chunked"),
    );
    for (let at = 0; at < bytes.length; at += 100_000) {
      const chunk = bytes.subarray(at, at + 100_000);
      connection.write(Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")]));
    }
    connection.write("0\r\n\r\n");
    const reply = await connection.reply();
    connection.socket.destroy();
    assert.equal(reply.status, 201);
    assert.equal(JSON.parse(reply.text).sha256, sha256(bytes));
  });

  test("a right Repr-Digest is accepted, repeated fields with the same digest and unknown algorithms too", async () => {
    const digest = `sha-256=:${Buffer.from(sha256("digested"), "hex").toString("base64")}:`;
    for (const field of [digest, `${digest}, ${digest}`, `md5=:AAAA:, ${digest}`, "md5=:AAAA:"]) {
      const reply = await put("digested").set("Repr-Digest", field).send("digested");
      assert.ok(reply.ok, `${field}: ${reply.text}`);
    }
  });

  test("a wrong Repr-Digest is refused with both digests, and nothing is kept", async () => {
    const reply = await put("wrong-digest")
      .set("Repr-Digest", `sha-256=:${Buffer.alloc(32).toString("base64")}:`)
      .send("bytes");
    const detail = assertProblem(reply, "digest-mismatch");
    assert.ok(detail.includes("0".repeat(64)) && detail.includes(sha256("bytes")));
    assertProblem(await http.get("/v1/files/wrong-digest").set("Authorization", client.basic), "file-not-found");
  });

  test("preconditions: create only, replace what was seen, and 412 otherwise", async () => {
    const tag = (text: string) => `"${sha256(text)}"`;
    assert.equal((await put("conditional").set("If-None-Match", "*").send("one")).status, 201);
    assertProblem(await put("conditional").set("If-None-Match", "*").send("two"), "precondition-failed");
    assertProblem(await put("conditional").set("If-Match", tag("two")).send("two"), "precondition-failed");
    assertProblem(
      await put("conditional")
        .set("If-Match", `W/${tag("one")}`)
        .send("two"),
      "precondition-failed",
    );
    assertProblem(
      await put("conditional")
        .set("If-None-Match", `W/${tag("one")}`)
        .send("two"),
      "precondition-failed",
    );
    assert.equal(
      (
        await put("conditional")
          .set("If-Match", `"else", ${tag("one")}`)
          .send("two")
      ).status,
      200,
    );
    assertProblem(await put("never").set("If-Match", "*").send("two"), "precondition-failed");
  });

  test("a name of one client is free for another", async () => {
    await put("shared-name").send("mine");
    const other = await newClient(depot);
    const reply = await http.put("/v1/files/shared-name").set("Authorization", other.basic).send("theirs");
    assert.equal(reply.body.outcome, "created");
    const mine = await http.get("/v1/files/shared-name").set("Authorization", client.basic).responseType("blob");
    assert.equal(mine.body.toString(), "mine");
  });
});

describe("PUT with Expect: 100-continue", async () => {
  const api = await startApi({ maxFileBytes: 1000 });
  const request = (name: string, ...lines: readonly string[]) =>
    head(
      `PUT /v1/files/${name} HTTP/1.1`,
      "Host: x",
      `Authorization: ${api.client.basic}`,
      "Expect: 100-continue",
      ...lines,
    );
  const digest = `Repr-Digest: sha-256=:${Buffer.from(sha256("hello"), "hex").toString("base64")}:`;

  test("a body that is wanted is asked for, then stored", async () => {
    const connection = await RawConnection.open(api.port);
    connection.write(request("expected", "Content-Length: 5", digest));
    assert.equal((await connection.reply()).status, 100);
    connection.write("hello");
    assert.equal((await connection.reply()).status, 201);
    connection.socket.destroy();
  });

  test("identical bytes are answered before the body is sent", async () => {
    const connection = await RawConnection.open(api.port);
    connection.write(request("expected", "Content-Length: 5", digest));
    const reply = await connection.reply();
    assert.equal(reply.status, 200);
    assert.equal(JSON.parse(reply.text).outcome, "unchanged");
    assert.equal(reply.headers["connection"], "close", "the body may still come: the connection cannot be used again");
    connection.socket.destroy();
  });

  const refused = [
    ["a length over the limit", "unsent", ["Content-Length: 1001"], "file-too-large"],
    ["a failed precondition", "expected", ["Content-Length: 5", "If-None-Match: *"], "precondition-failed"],
    ["replicas out of range", "unsent", ["Content-Length: 5", "Deposito-Replicas: 4"], "replicas-out-of-range"],
    ["a bad name", "a//b", ["Content-Length: 5"], "invalid-name"],
  ] as const;
  for (const [title, name, lines, code] of refused) {
    test(`${title} is answered before the body is asked for`, async () => {
      const connection = await RawConnection.open(api.port);
      connection.write(request(name, ...lines));
      assertProblem(await connection.reply(), code);
      connection.socket.destroy();
    });
  }
});

function sha256(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
