import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ProblemCode, problemCodes, problems } from "../../node/api/problems.ts";
import { DepositoError } from "../../node/base/errors.ts";
import { InvariantError } from "../../node/base/invariant.ts";
import { createLogger } from "../../node/base/logger.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { startApi } from "./support/running-api.ts";

/** The contract's table, slug by slug, and what changes of membership are refused with. */
const contract: Readonly<Record<number, readonly ProblemCode[]>> = {
  400: ["invalid-name", "invalid-header", "invalid-query", "invalid-body", "invalid-request"],
  401: ["unauthenticated"],
  403: ["forbidden"],
  404: ["file-not-found", "no-such-route", "node-not-found"],
  405: ["method-not-allowed"],
  408: ["upload-timeout"],
  409: ["node-busy", "already-a-member", "last-voter"],
  412: ["precondition-failed"],
  413: ["file-too-large"],
  415: ["unsupported-media-type"],
  416: ["range-not-satisfiable"],
  417: ["expectation-failed"],
  422: ["digest-mismatch", "size-mismatch", "replicas-out-of-range", "node-mismatch"],
  429: ["too-many-requests"],
  431: ["headers-too-large"],
  500: ["internal-error"],
  503: ["no-quorum", "not-enough-nodes", "node-unreachable"],
  507: ["not-enough-space"],
};

describe("the status table", async () => {
  const logged: string[] = [];
  const logger = createLogger({}, "silent");
  logger.level = "error";
  Reflect.set(logger, "error", (facts: { err: Error; requestId: string }) =>
    logged.push(`${facts.requestId} ${facts.err.stack}`),
  );
  const api = await startApi({ logger });
  const { http, client, depot } = api;
  const auth = { Authorization: client.basic };

  test("has exactly the contract's slugs, each with the contract's status", () => {
    const slugs = Object.entries(contract).flatMap(([status, codes]) =>
      codes.map((code) => [code, Number(status)] as const),
    );
    assert.deepEqual(new Map(slugs), new Map(problemCodes.map((code) => [code, problems[code].status])));
  });

  for (const code of problemCodes.filter((each) => each !== "internal-error")) {
    test(`${code} from the depot is answered ${problems[code].status} with its detail`, async () => {
      depot.failure = new DepositoError(code, "what happened", { cause: new Error("inner") });
      const reply = await http.get("/v1/records/a").set(auth);
      assert.equal(assertProblem(reply, code), "what happened");
    });

    test(`${code} has a page that says what to do`, async () => {
      const page = await http.get(`/problems/${code}`);
      assert.equal(page.status, 200);
      assert.match(page.headers["content-type"] ?? "", /^text\/html/);
      assert.match(page.headers["content-security-policy"] ?? "", /default-src 'none'/);
      assert.ok(page.text.includes(code) && page.text.includes(String(problems[code].status)));
      assert.doesNotMatch(page.text, /(?:src|href)="(?!\/problems)/, "no outside resource");
    });
  }

  for (const code of ["no-quorum", "not-enough-nodes", "node-unreachable"] as const) {
    test(`${code} says when to try again`, async () => {
      depot.failure = new DepositoError(code, "gone");
      const reply = await http.put("/v1/files/a").set(auth).send("body");
      assertProblem(reply, code);
      assert.match(reply.headers["retry-after"] ?? "", /^[1-9]\d*$/);
    });
  }

  const bugs: readonly (readonly [string, Error, boolean])[] = [
    ["an unexpected error", new TypeError("secret internals of /srv/deposito"), false],
    ["a failure that should have stayed inside", new DepositoError("peer-unreachable", "10.0.0.7 refused"), false],
    ["a broken invariant", new InvariantError("commit 5 after 6"), true],
    ["a failed sync", new DepositoError("storage-failed", "EIO on /data/log"), true],
  ];
  for (const [title, error, fatal] of bugs) {
    test(`${title} is 500 with only the request id; the log has the rest${fatal ? ", and the process must end" : ""}`, async () => {
      const before = api.fatal.length;
      depot.failure = error;
      const reply = await http.get("/v1/records/a").set(auth).set("X-Request-Id", "bug-1");
      assert.equal(assertProblem(reply, "internal-error"), "request bug-1");
      assert.ok(logged.at(-1)?.startsWith("bug-1 ") && logged.at(-1)?.includes(error.message));
      assert.deepEqual(api.fatal.slice(before), fatal ? [error] : []);
    });
  }

  test("no-such-route for what there is not, or not yet", async () => {
    const paths = [
      "/",
      "/v1",
      "/v2/files/a",
      "/v1/files",
      "/V1/files/a",
      "/v1/cluster/",
      "/console",
      "/docs",
      "/v1/cluster/nodes/n1/drain",
      "/problems/nothing",
    ];
    for (const path of paths) assertProblem(await http.get(path).set(auth), "no-such-route");
  });

  const allowed: readonly (readonly [string, string, string])[] = [
    ["post", "/v1/files/a", "GET, HEAD, PUT, DELETE, OPTIONS"],
    ["propfind", "/v1/files/a%00", "GET, HEAD, PUT, DELETE, OPTIONS"],
    ["put", "/v1/records/a", "GET, HEAD, PATCH, OPTIONS"],
    ["delete", "/v1/records", "GET, HEAD, OPTIONS"],
    ["get", "/v1/clients", "POST, OPTIONS"],
    ["trace", "/livez", "GET, HEAD, OPTIONS"],
    ["get", "/v1/cluster/nodes", "POST, OPTIONS"],
    ["get", "/v1/cluster/nodes/n1", "DELETE, OPTIONS"],
    ["get", "/v1/cluster/leader", "POST, OPTIONS"],
    ["post", "/v1/cluster/events", "GET, HEAD, OPTIONS"],
  ];
  for (const [method, path, allow] of allowed) {
    test(`${method.toUpperCase()} ${path} is 405 with Allow: ${allow}, and OPTIONS tells the same`, async () => {
      const agent: Record<string, (path: string) => ReturnType<typeof http.get>> = http as never;
      const reply = await agent[method]?.(path);
      assert.ok(reply !== undefined);
      assertProblem(reply, "method-not-allowed");
      assert.equal(reply.headers["allow"], allow);
      const options = await http.options(path);
      assert.deepEqual([options.status, options.headers["allow"]], [204, allow]);
    });
  }
});

describe("request ids", async () => {
  const { http } = await startApi();

  test("a plain one from the client is kept, on good replies and bad ones", async () => {
    assert.equal((await http.get("/livez").set("X-Request-Id", "job-17.a")).headers["x-request-id"], "job-17.a");
    assert.equal((await http.get("/nothing").set("X-Request-Id", "job-17.b")).headers["x-request-id"], "job-17.b");
  });

  test("any other is replaced by a new one", async () => {
    const ids = new Set<string | undefined>();
    for (const given of ["", "a b", "<script>", "x".repeat(129)]) {
      ids.add((await http.get("/livez").set("X-Request-Id", given)).headers["x-request-id"]);
    }
    assert.equal(ids.size, 4);
    for (const id of ids) assert.match(id ?? "", /^[0-9a-f-]{36}$/);
  });
});

describe("health and metrics", async () => {
  const api = await startApi();

  test("/readyz is 200 when ready, else 503 with the reasons", async () => {
    assert.deepEqual((await api.http.get("/readyz")).body, { ready: true, reasons: [] });
    api.readiness = { ready: false, reasons: ["12 entries behind the leader"] };
    const reply = await api.http.get("/readyz");
    assert.equal(reply.status, 503);
    assert.deepEqual(reply.body, { ready: false, reasons: ["12 entries behind the leader"] });
    assert.deepEqual((await api.http.get("/livez")).body, { live: true, node: "n1" });
  });

  test("/metrics counts requests by route, never by file name", async () => {
    await api.http.put("/v1/files/very-private-name").set("Authorization", api.client.basic).send("12345");
    await api.http.get("/v1/files/very-private-name").set("Authorization", api.client.basic);
    await api.http.get("/nothing");
    const { text } = await api.http.get("/metrics");
    assert.match(text, /deposito_http_requests_total\{route="\/v1\/files\/\{name\}",method="PUT",status="201"\} 1/);
    assert.match(text, /deposito_http_requests_total\{route="none",method="GET",status="404"\} 1/);
    assert.match(text, /deposito_http_file_bytes_total\{direction="in"\} 5/);
    assert.match(text, /deposito_http_file_bytes_total\{direction="out"\} 5/);
    assert.doesNotMatch(text, /very-private-name/);
  });
});
