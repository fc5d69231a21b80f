import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ProblemCode } from "../../node/api/problems.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { head, rawRequest } from "./support/raw-http.ts";
import { adminToken, basicOf, newClient, type RunningApi, startApi } from "./support/running-api.ts";

const unknownId = "3f9c1f7e-0000-4000-8000-000000000000";

describe("bad credentials", async () => {
  const api = await startApi();
  const { http, client } = api;
  const revoked = await newClient(api.depot);
  await http.post("/v1/clients/me/secret").set("Authorization", revoked.basic);

  const fields: readonly (readonly [string, string | undefined])[] = [
    ["none", undefined],
    ["an empty field", ""],
    ["an unknown client", basicOf(unknownId, client.secret)],
    ["no client id at all", basicOf("nobody", "x")],
    ["a wrong secret", basicOf(client.clientId, "wrong")],
    ["a revoked secret", revoked.basic],
    ["an empty secret", basicOf(client.clientId, "")],
    ["Basic without a value", "Basic"],
    ["Basic that is not base64", "Basic $$$"],
    ["Basic without a colon", `Basic ${Buffer.from(client.clientId).toString("base64")}`],
    ["another scheme", `Digest ${client.secret}`],
    ["the secret without a scheme", client.secret],
    ["an empty Bearer", "Bearer "],
    ["a wrong Bearer", "Bearer wrong-token-wrong-token"],
    ["a long Bearer", `Bearer ${"x".repeat(10_000)}`],
  ];
  for (const [title, value] of fields) {
    test(`${title}: 401 with WWW-Authenticate, on reads and writes alike, and nothing is kept`, async () => {
      const with_ = value === undefined ? {} : { Authorization: value };
      for (const reply of [
        await http.get("/v1/files/a").set(with_),
        await http.put("/v1/files/a").set(with_).send("bytes"),
        await http.get("/v1/cluster").set(with_),
      ]) {
        assertProblem(reply, "unauthenticated");
        assert.match(reply.headers["www-authenticate"] ?? "", /Basic realm="deposito"/);
      }
      assert.equal(api.depot.storedFiles, 0);
    });
  }

  test("a doubled field is 401, whichever of the two is right", async () => {
    const wrong = basicOf(client.clientId, "wrong");
    for (const pair of [
      [client.basic, wrong],
      [wrong, client.basic],
      [client.basic, client.basic],
    ]) {
      const lines = pair.map((value) => `Authorization: ${value}`);
      assertProblem(
        await rawRequest(api.port, head("GET /v1/clients/me HTTP/1.1", "Host: x", ...lines)),
        "unauthenticated",
      );
    }
  });

  test("an unknown client and a wrong secret get the same answer, byte for byte", async () => {
    const replies = [basicOf(unknownId, client.secret), basicOf(client.clientId, "wrong")].map((value) =>
      http.get("/v1/files/a").set({ Authorization: value, "X-Request-Id": "same" }),
    );
    const [unknown, wrong] = await Promise.all(replies);
    const { date: _one, ...unknownHeaders } = unknown?.headers ?? {};
    const { date: _two, ...wrongHeaders } = wrong?.headers ?? {};
    assert.equal(unknown?.text, wrong?.text);
    assert.deepEqual(unknownHeaders, wrongHeaders);
  });

  test("a client on an operators' route is 403, an operator is let in where either may", async () => {
    const closed = await startApi({ registration: "admin" });
    assertProblem(await closed.http.post("/v1/clients").set("Authorization", closed.client.basic), "forbidden");
    assert.equal((await http.get("/v1/cluster").set("Authorization", `Bearer ${adminToken}`)).status, 200);
    assert.equal((await http.get("/v1/cluster").set("Authorization", client.basic)).status, 200);
  });
});

describe("bad names", async () => {
  const api = await startApi();
  const paths: readonly (readonly [string, string])[] = [
    ["an empty name", ""],
    ["a leading slash", "/a"],
    ["a trailing slash", "a/"],
    ["an encoded trailing slash", "a%2F"],
    ["an empty segment", "a//b"],
    ["'.' as a segment", "a/./b"],
    ["'..' as a segment", "../a"],
    ["'..' in the middle", "a/../../b"],
    ["an encoded '..'", "%2e%2e%2fetc%2fpasswd"],
    ["half encoded '..'", "a/.%2e/b"],
    ["a NUL", "a%00b"],
    ["a line feed", "a%0Ab"],
    ["DEL", "a%7F"],
    ["a percent sign alone", "a%"],
    ["a percent sign and no digits", "a%zz"],
    ["a percent sign and one digit", "a%4"],
    ["bytes that are not UTF-8", "a%FF"],
    ["overlong UTF-8", "a%C0%AF"],
    ["an unpaired surrogate", "a%ED%A0%80"],
    ["UTF-8 cut short", "a%E2%82"],
    ["1,025 bytes", "x".repeat(1025)],
    ["1,025 bytes of two-byte letters", `${"%C3%A9".repeat(512)}x`],
  ];
  for (const [title, path] of paths) {
    test(`${title}: 400 invalid-name on every verb`, async () => {
      for (const line of [
        `GET /v1/files/${path}`,
        `HEAD /v1/files/${path}`,
        `DELETE /v1/files/${path}`,
        `GET /v1/records/${path}`,
      ]) {
        const reply = await request(api, line);
        if (line.startsWith("HEAD")) assert.equal(reply.status, 400);
        else assertProblem(reply, "invalid-name");
      }
      assertProblem(await request(api, `PUT /v1/files/${path}`, "bytes"), "invalid-name");
      assert.equal(api.depot.storedFiles, 0);
    });
  }

  const good: readonly (readonly [string, string, string])[] = [
    ["1,024 bytes", "x".repeat(1024), "x".repeat(1024)],
    ["a plus sign, literally", "a+b", "a+b"],
    ["an encoded slash, as a slash", "a%2Fb", "a/b"],
    ["dots that are no segment", "..a/b../...", "..a/b../..."],
    ["a byte order mark, kept", "%EF%BB%BFa", "\ufeffa"],
    ["what frames use, as a name like any other", "__proto__/%3Cscript%3E", "__proto__/<script>"],
    ["a doubly encoded percent, decoded once", "%252e%252e", "%2e%2e"],
  ];
  for (const [title, path, name] of good) {
    test(`${title} is accepted`, async () => {
      const reply = await request(api, `PUT /v1/files/${path}`, "bytes");
      assert.equal(reply.status, 201, reply.text);
      assert.equal(JSON.parse(Buffer.from(reply.text, "latin1").toString()).name, name);
    });
  }

  test("a byte that is not ASCII, raw in the path: the parser refuses it, and the detail says what to do", async () => {
    assert.match(assertProblem(await request(api, "GET /v1/files/\xc3\xa9"), "invalid-request"), /percent-encode/);
  });

  test("the absolute form of proxies names the same file", async () => {
    const reply = await request(api, "PUT http://else.example:99/v1/files/absolute", "bytes");
    assert.equal(reply.status, 201);
    assert.equal((await request(api, "GET /v1/files/absolute")).text, "bytes");
  });
});

describe("bad header fields", async () => {
  const api = await startApi();
  await request(api, "PUT /v1/files/there", "bytes");
  const right = `sha-256=:${Buffer.alloc(32, 1).toString("base64")}:`;
  const other = `sha-256=:${Buffer.alloc(32, 2).toString("base64")}:`;

  const cases: readonly (readonly [string, readonly string[], ProblemCode])[] = [
    ["replicas 1.5", ["Deposito-Replicas: 1.5"], "invalid-header"],
    ["replicas in quotes", ['Deposito-Replicas: "3"'], "invalid-header"],
    ["replicas 1e9", ["Deposito-Replicas: 1e9"], "invalid-header"],
    ["replicas in words", ["Deposito-Replicas: two"], "invalid-header"],
    ["empty replicas", ["Deposito-Replicas:"], "invalid-header"],
    ["replicas twice", ["Deposito-Replicas: 1", "Deposito-Replicas: 2"], "invalid-header"],
    ["replicas with 400 digits", [`Deposito-Replicas: ${"9".repeat(400)}`], "invalid-header"],
    ["replicas 0", ["Deposito-Replicas: 0"], "replicas-out-of-range"],
    ["replicas -1", ["Deposito-Replicas: -1"], "replicas-out-of-range"],
    ["replicas 4 on three nodes", ["Deposito-Replicas: 4"], "replicas-out-of-range"],
    ["replicas 1000000000", ["Deposito-Replicas: 1000000000"], "replicas-out-of-range"],
    ["a malformed digest", ["Repr-Digest: sha-256=abc:"], "invalid-header"],
    ["a digest as a string", [`Repr-Digest: sha-256="${"a".repeat(64)}"`], "invalid-header"],
    ["a digest of 31 bytes", [`Repr-Digest: sha-256=:${Buffer.alloc(31).toString("base64")}:`], "invalid-header"],
    ["a digest that is not base64", ["Repr-Digest: sha-256=:!!!!:"], "invalid-header"],
    ["two digests in one field", [`Repr-Digest: ${right}, ${other}`], "invalid-header"],
    ["two digests in two fields", [`Repr-Digest: ${right}`, `Repr-Digest: ${other}`], "invalid-header"],
    ["a wrong digest", [`Repr-Digest: ${right}`], "digest-mismatch"],
    ["an unquoted ETag", ["If-Match: abc"], "invalid-header"],
    ["an ETag left open", ['If-Match: "abc'], "invalid-header"],
    ["an empty If-Match", ["If-Match:"], "invalid-header"],
    ["* among ETags", ['If-None-Match: *, "a"'], "invalid-header"],
    ["a lower-case weak mark", ['If-None-Match: w/"a"'], "invalid-header"],
    ["1,000 ETags that do not match", [`If-Match: ${tags(1000)}`], "precondition-failed"],
    ["1,000 malformed ETags", [`If-Match: ${'"a" '.repeat(1000)}`], "invalid-header"],
    ["3,000 ETags", [`If-Match: ${tags(3000)}`], "headers-too-large"],
    ["a content type without a slash", ["Content-Type: text"], "invalid-header"],
    ["a content type that is too long", [`Content-Type: a/${"b".repeat(300)}`], "invalid-header"],
    ["a content coding", ["Content-Encoding: gzip"], "unsupported-media-type"],
    ["Content-Range", ["Content-Range: bytes 0-4/10"], "invalid-header"],
    ["Expect: nonsense", ["Expect: nonsense"], "expectation-failed"],
    ["20 KiB of header fields", [`X-Filler: ${"x".repeat(20 * 1024)}`], "headers-too-large"],
    ["no Host field", ["-Host"], "invalid-request"],
    ["a field name with a space", ["Bad Name: x"], "invalid-request"],
    ["a line feed in a field", ["X: a\nb"], "invalid-request"],
    ["two lengths", ["Content-Length: 5", "Content-Length: 6"], "invalid-request"],
    ["a negative length", ["-Content-Length", "Content-Length: -1"], "invalid-request"],
    ["a length and chunks", ["Transfer-Encoding: chunked"], "invalid-request"],
    ["a transfer coding nobody knows", ["-Content-Length", "Transfer-Encoding: gzip"], "invalid-request"],
  ];
  for (const [title, lines, code] of cases) {
    test(`${title}: ${code}, and nothing is kept`, async () => {
      const began = performance.now();
      const reply = await request(api, "PUT /v1/files/kept", "bytes", ...lines);
      assertProblem(reply, code);
      assert.equal(reply.headers["etag"], undefined);
      assert.ok(performance.now() - began < 5000, "no input is slow");
      assert.equal(api.depot.storedFiles, 1);
      assert.equal((await request(api, "GET /livez")).status, 200);
    });
  }
});

describe("bad queries", async () => {
  const api = await startApi();
  const cases: readonly (readonly [string, string])[] = [
    ["limit 0", "/v1/records?limit=0"],
    ["limit -1", "/v1/records?limit=-1"],
    ["limit 1e9", "/v1/records?limit=1e9"],
    ["limit 1000000000", "/v1/records?limit=1000000000"],
    ["limit 1001", "/v1/records?limit=1001"],
    ["limit 1.5", "/v1/records?limit=1.5"],
    ["an empty limit", "/v1/records?limit="],
    ["limit twice", "/v1/records?limit=1&limit=1"],
    ["limit twice, once encoded", "/v1/records?limit=1&%6Cimit=1"],
    ["an unknown parameter", "/v1/records?order=desc"],
    ["brackets", "/v1/records?prefix[]=a"],
    ["__proto__", "/v1/records?__proto__=a"],
    ["an empty delimiter", "/v1/records?delimiter="],
    ["a bad percent", "/v1/records?after=%zz"],
    ["bad UTF-8", "/v1/records?prefix=%FF"],
    ["an unknown parameter on a file", "/v1/files/a?x=1"],
    ["a download that is no yes", "/v1/files/a?download=no"],
    ["a parameter where there is none", "/v1/clients/me?x"],
  ];
  for (const [title, path] of cases) {
    test(`${title}: 400 invalid-query that names the parameter`, async () => {
      const detail = assertProblem(await request(api, `GET ${path}`), "invalid-query");
      const parameter = /(?:limit|order|prefix|__proto__|delimiter|download|x|percent|%|UTF-8)/;
      assert.match(detail, parameter);
    });
  }
});

describe("bad JSON bodies", async () => {
  const api = await startApi();
  await request(api, "PUT /v1/files/a", "bytes");
  const json = "Content-Type: application/json";
  const deep = `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`;

  const cases: readonly (readonly [string, string, readonly string[], ProblemCode, RegExp])[] = [
    ["no JSON", "{replicas: 2}", [json], "invalid-body", /JSON/],
    ["an empty body", "", [json], "invalid-body", /body/],
    ["bad UTF-8", "\xff", [json], "invalid-body", /UTF-8/],
    ["an array", "[1]", [json], "invalid-body", /object/],
    ["null", "null", [json], "invalid-body", /object/],
    ["an unknown key", '{"replica":2}', [json], "invalid-body", /replica/],
    ["__proto__", '{"__proto__":{"replicas":3}}', [json], "invalid-body", /__proto__/],
    ["constructor", '{"constructor":{"prototype":{"x":1}}}', [json], "invalid-body", /constructor/],
    ["depth 10,000", deep, [json], "invalid-body", /a|KiB|bytes/],
    ["65,000 open brackets", "[".repeat(65_000), [json], "invalid-body", /JSON/],
    [
      "10,000 depth in a known key",
      `{"replicas":${"[".repeat(10_000)}${"]".repeat(10_000)}}`,
      [json],
      "invalid-body",
      /replicas/,
    ],
    ["more than 64 KiB", `{"contentType":"${"x".repeat(65_536)}"}`, [json], "invalid-body", /65536/],
    ["replicas as text", '{"replicas":"3"}', [json], "invalid-body", /replicas/],
    ["replicas 1.5", '{"replicas":1.5}', [json], "invalid-body", /replicas/],
    ["replicas 1e400", '{"replicas":1e400}', [json], "invalid-body", /replicas/],
    ["replicas null", '{"replicas":null}', [json], "invalid-body", /replicas/],
    ["replicas 0", '{"replicas":0}', [json], "replicas-out-of-range", /0.*1 to 3/],
    ["replicas -1", '{"replicas":-1}', [json], "replicas-out-of-range", /-1.*1 to 3/],
    ["replicas 1e9", '{"replicas":1e9}', [json], "replicas-out-of-range", /1 to 3/],
    ["a content type with a line feed", '{"contentType":"a/b\\r\\nX: y"}', [json], "invalid-body", /contentType/],
    ["a content type beyond Latin-1", '{"contentType":"a/\\u4e2d"}', [json], "invalid-body", /contentType/],
    [
      "many unknown keys",
      `{${Array.from({ length: 3000 }, (_, at) => `"key${at}":1`).join()}}`,
      [json],
      "invalid-body",
      /key0/,
    ],
    ["another media type", '{"replicas":2}', ["Content-Type: text/plain"], "unsupported-media-type", /json/],
    ["no media type", '{"replicas":2}', [], "unsupported-media-type", /json/],
    ["a content coding", "x", [json, "Content-Encoding: gzip"], "unsupported-media-type", /Content-Encoding/],
  ];
  for (const [title, body, lines, code, detail] of cases) {
    test(`${title}: ${code}`, async () => {
      assert.match(assertProblem(await request(api, "PATCH /v1/records/a", body, ...lines), code), detail);
      const record = JSON.parse((await request(api, "GET /v1/records/a")).text);
      assert.deepEqual([record.version, record.replicas], [1, 2], "nothing was changed");
    });
  }

  test("a label must be text of 1 to 200 characters", async () => {
    for (const label of ['""', "5", "null", `"${"x".repeat(201)}"`]) {
      assertProblem(await request(api, "POST /v1/clients", `{"label":${label}}`, json), "invalid-body");
    }
  });

  test("an array of bodies too long for its declaration is refused before it is read, a chunked one as it grows", async () => {
    const chunk = "x".repeat(60_000);
    const chunked = `${(60_000).toString(16)}\r\n${chunk}\r\n`.repeat(2);
    const reply = await rawRequest(
      api.port,
      head(
        "PATCH /v1/records/a HTTP/1.1",
        "Host: x",
        `Authorization: ${api.client.basic}`,
        json,
        "Transfer-Encoding: chunked",
      ) + chunked,
    );
    assertProblem(reply, "invalid-body");
  });
});

describe("limits per address", async () => {
  test("too many failed authentications: 429 with Retry-After, for right credentials too", async () => {
    const { http, client } = await startApi({ limits: { failedAuthenticationsPerMinute: 3 } });
    for (let at = 0; at < 3; at++)
      assertProblem(await http.get("/v1/records").set("Authorization", "x"), "unauthenticated");
    for (const value of ["x", client.basic]) {
      const reply = await http.get("/v1/records").set("Authorization", value);
      assertProblem(reply, "too-many-requests");
      assert.match(reply.headers["retry-after"] ?? "", /^[1-9]\d?$/);
    }
    assert.equal((await http.get("/livez")).status, 200);
  });

  test("too many registrations: 429 with Retry-After, and clients go on", async () => {
    const { http, client } = await startApi({ limits: { registrationsPerMinute: 2 } });
    for (let at = 0; at < 2; at++) assert.equal((await http.post("/v1/clients")).status, 201);
    const reply = await http.post("/v1/clients");
    assertProblem(reply, "too-many-requests");
    assert.match(reply.headers["retry-after"] ?? "", /^[1-9]\d?$/);
    assert.equal((await http.get("/v1/records").set("Authorization", client.basic)).status, 200);
  });
});

/** Sends one request as it stands; `-Field` leaves out a field that would be sent otherwise. */
function request(api: RunningApi, line: string, body = "", ...lines: readonly string[]) {
  const usual = [
    "Host: x",
    `Authorization: ${api.client.basic}`,
    ...(body === "" ? [] : [`Content-Length: ${body.length}`]),
  ];
  const dropped = lines.filter((each) => each.startsWith("-")).map((each) => `${each.slice(1)}:`);
  const kept = usual.filter((each) => !dropped.some((prefix) => each.startsWith(prefix)));
  const fields = lines.filter((each) => !each.startsWith("-"));
  return rawRequest(
    api.port,
    Buffer.from(head(`${line} HTTP/1.1`, ...kept, ...fields, "Connection: close") + body, "latin1"),
  );
}

function tags(count: number): string {
  return Array.from({ length: count }, (_, at) => `"t${at}"`).join(", ");
}
