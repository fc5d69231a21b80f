import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { describe, test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { head, RawConnection } from "./support/raw-http.ts";
import { startApi } from "./support/running-api.ts";

const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 251));
const tag = `"${createHash("sha256").update(bytes).digest("hex")}"`;

describe("GET and HEAD /v1/files/{name}", async () => {
  const { http, client } = await startApi();
  const get = (query = "") =>
    http.get(`/v1/files/dir/caf%C3%A9.jpg${query}`).set("Authorization", client.basic).responseType("blob");
  const headOf = () => http.head("/v1/files/dir/caf%C3%A9.jpg").set("Authorization", client.basic);
  await http
    .put("/v1/files/dir/caf%C3%A9.jpg")
    .set("Authorization", client.basic)
    .set("Content-Type", "image/jpeg")
    .send(bytes);
  const lastModified = (await headOf()).headers["last-modified"];

  test("answers the bytes with everything the contract lists", async () => {
    const reply = await get();
    assert.equal(reply.status, 200);
    assert.ok(bytes.equals(reply.body));
    const { headers } = reply;
    assert.equal(headers["etag"], tag);
    assert.equal(headers["content-type"], "image/jpeg");
    assert.equal(headers["content-length"], "200000");
    assert.equal(headers["repr-digest"], `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`);
    assert.equal(headers["accept-ranges"], "bytes");
    assert.equal(headers["deposito-version"], "1");
    assert.equal(headers["deposito-replicas"], "2");
    assert.equal(headers["cache-control"], "private, no-cache");
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.match(headers["content-security-policy"] ?? "", /^sandbox;/);
    assert.match(
      headers["content-disposition"] ?? "",
      /^inline; filename="caf.+jpg"; filename\*=utf-8''caf%C3%A9\.jpg$/i,
    );
    assert.ok(Math.abs(Date.parse(headers["last-modified"] ?? "") - Date.now()) < 60_000);
  });

  test("?download makes browsers save the file", async () => {
    for (const query of ["?download", "?download=1", "?download=true"]) {
      assert.match((await get(query)).headers["content-disposition"] ?? "", /^attachment; filename/);
    }
  });

  test("HEAD has the header fields of GET and no bytes, whatever Range says", async () => {
    const reply = await headOf().set("Range", "bytes=0-1");
    const whole = await get();
    assert.equal(reply.status, 200);
    assert.equal(reply.text, undefined);
    const { date: _then, "x-request-id": _own, ...fields } = reply.headers;
    const { date: _now, "x-request-id": _other, ...expected } = whole.headers;
    assert.deepEqual(fields, expected);
  });

  const ranges: readonly (readonly [string, number, number, number])[] = [
    ["bytes=0-0", 206, 0, 1],
    ["bytes=100000-", 206, 100_000, 200_000],
    ["bytes=65535-131072", 206, 65_535, 131_073],
    ["bytes=199999-999999", 206, 199_999, 200_000],
    ["bytes=-1", 206, 199_999, 200_000],
    ["bytes=-999999", 206, 0, 200_000],
    // Ignored, as RFC 9110 §14.2 allows: the whole file.
    ["bytes=5-2", 200, 0, 200_000],
    ["bytes=0-1,4-5", 200, 0, 200_000],
    [`bytes=${Array.from({ length: 1000 }, (_, at) => `${at}-${at}`).join(",")}`, 200, 0, 200_000],
    ["bytes=a-b", 200, 0, 200_000],
    ["bytes=-", 200, 0, 200_000],
    ["bytes", 200, 0, 200_000],
    ["lines=1-2", 200, 0, 200_000],
  ];
  for (const [range, status, start, end] of ranges) {
    test(`Range: ${range.slice(0, 30)} is answered ${status} with [${start}, ${end})`, async () => {
      const reply = await get().set("Range", range);
      assert.equal(reply.status, status);
      assert.ok(bytes.subarray(start, end).equals(reply.body));
      assert.equal(reply.headers["content-range"], status === 206 ? `bytes ${start}-${end - 1}/200000` : undefined);
      assert.equal(reply.headers["content-length"], String(end - start));
    });
  }

  for (const range of ["bytes=200000-", "bytes=999999-1000000", "bytes=-0"]) {
    test(`Range: ${range} lies beyond the end: 416 with Content-Range: bytes */size`, async () => {
      const reply = await http
        .get("/v1/files/dir/caf%C3%A9.jpg")
        .set("Authorization", client.basic)
        .set("Range", range);
      assertProblem(reply, "range-not-satisfiable");
      assert.equal(reply.headers["content-range"], "bytes */200000");
      assert.equal(reply.headers["etag"], undefined);
    });
  }

  const past = "Mon, 01 Jan 2001 00:00:00 GMT";
  const conditions: readonly (readonly [string, Readonly<Record<string, string>>, number])[] = [
    ["If-None-Match with the tag", { "If-None-Match": tag }, 304],
    ["If-None-Match with the weak tag", { "If-None-Match": `"x" , W/${tag}` }, 304],
    ["If-None-Match: *", { "If-None-Match": "*" }, 304],
    ["If-None-Match with another tag", { "If-None-Match": '"x"' }, 200],
    ["If-Modified-Since now", { "If-Modified-Since": lastModified ?? "" }, 304],
    ["If-Modified-Since long ago", { "If-Modified-Since": past }, 200],
    ["If-Modified-Since with no date", { "If-Modified-Since": "yesterday" }, 200],
    [
      "If-None-Match decides before If-Modified-Since",
      { "If-None-Match": '"x"', "If-Modified-Since": lastModified ?? "" },
      200,
    ],
    ["If-Match with the tag", { "If-Match": tag }, 200],
    ["If-Match: *", { "If-Match": "*" }, 200],
    ["If-Match with the weak tag", { "If-Match": `W/${tag}` }, 412],
    ["If-Match with another tag", { "If-Match": '"x"' }, 412],
    ["If-Unmodified-Since long ago", { "If-Unmodified-Since": past }, 412],
    ["If-Unmodified-Since now", { "If-Unmodified-Since": lastModified ?? "" }, 200],
    ["If-Match decides before If-Unmodified-Since", { "If-Match": tag, "If-Unmodified-Since": past }, 200],
    ["If-Match decides before If-None-Match", { "If-Match": '"x"', "If-None-Match": tag }, 412],
    ["If-Range with the tag lets the range through", { "If-Range": tag, Range: "bytes=0-9" }, 206],
    ["If-Range with another tag asks for the whole", { "If-Range": '"x"', Range: "bytes=0-9" }, 200],
    ["If-Range with a date asks for the whole", { "If-Range": lastModified ?? "", Range: "bytes=0-9" }, 200],
    ["If-None-Match decides before Range", { "If-None-Match": tag, Range: "bytes=0-9" }, 304],
  ];
  for (const [title, fields, status] of conditions) {
    test(`${title}: ${status} (RFC 9110 §13)`, async () => {
      const reply = await http.get("/v1/files/dir/caf%C3%A9.jpg").set("Authorization", client.basic).set(fields);
      assert.equal(reply.status, status);
      if (status === 304) assert.equal(reply.headers["etag"], tag);
      if (status === 412) assertProblem(reply, "precondition-failed");
    });
  }

  test("an empty file is 200 without bytes, and no range of it can be satisfied", async () => {
    await http.put("/v1/files/empty").set("Authorization", client.basic);
    const whole = await http.get("/v1/files/empty").set("Authorization", client.basic);
    assert.deepEqual([whole.status, whole.headers["content-length"]], [200, "0"]);
    const range = await http.get("/v1/files/empty").set("Authorization", client.basic).set("Range", "bytes=0-");
    assertProblem(range, "range-not-satisfiable");
    assert.equal(range.headers["content-range"], "bytes */0");
  });
});

describe("a retrieval that goes wrong", async () => {
  const api = await startApi({ limits: { downloadIdleMs: 200 } });
  await api.http.put("/v1/files/a").set("Authorization", api.client.basic).send(bytes);
  const request = head("GET /v1/files/a HTTP/1.1", "Host: x", `Authorization: ${api.client.basic}`);

  test("before the first byte it is answered with a problem document", async () => {
    api.depot.readScript = failing(0);
    assertProblem(await api.http.get("/v1/files/a").set("Authorization", api.client.basic), "not-enough-nodes");
  });

  test("in the middle the connection breaks: the reply never looks complete", async () => {
    api.depot.readScript = failing(70_000);
    const connection = await RawConnection.open(api.port);
    connection.write(request);
    const received = await connection.closed();
    assert.match(received, /Content-Length: 200000/i);
    assert.ok(received.length < 200_000);
    assert.doesNotMatch(received, /problem/);
    assert.deepEqual(api.fatal, []);
  });

  test("a replica that ends early is a bug: the connection breaks and the process is asked to end", async () => {
    api.depot.readScript = async function* (whole) {
      yield whole.subarray(0, 70_000);
    };
    const connection = await RawConnection.open(api.port);
    connection.write(request);
    assert.ok((await connection.closed()).length < 200_000);
    assert.match(String(api.fatal[0]), /InvariantError/);
  });

  test("reading stops when the client goes away", async () => {
    const { promise: stopped, resolve } = Promise.withResolvers<void>();
    api.depot.readScript = async function* (whole, signal) {
      yield whole.subarray(0, 10);
      await once(signal, "abort");
      resolve();
      signal.throwIfAborted();
    };
    const connection = await RawConnection.open(api.port);
    connection.write(request);
    await connection.until("\r\n\r\n");
    connection.socket.destroy();
    await stopped;
  });

  test("a client that takes nothing for the idle time is cut off, and reading waits for it meanwhile", async () => {
    let handedOut = 0;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const endless = Buffer.alloc(8 * 1024 * 1024);
    await api.http
      .put("/v1/files/huge")
      .set("Authorization", api.client.basic)
      .send(Buffer.alloc(32 * 1024 * 1024));
    api.depot.readScript = async function* () {
      try {
        for (let chunk = 0; chunk < 4; chunk++) {
          handedOut++;
          yield endless;
        }
      } finally {
        resolve();
      }
    };
    const connection = await RawConnection.open(api.port);
    connection.socket.pause();
    connection.write(head("GET /v1/files/huge HTTP/1.1", "Host: x", `Authorization: ${api.client.basic}`));
    await ended;
    connection.socket.destroy();
    assert.ok(handedOut <= 2, `${handedOut} chunks of 8 MiB were read for a client that took none`);
  });

  function failing(after: number) {
    return async function* (whole: Buffer): AsyncGenerator<Uint8Array> {
      if (after > 0) yield whole.subarray(0, after);
      throw new DepositoError("not-enough-nodes", "no replica can be read");
    };
  }
});
