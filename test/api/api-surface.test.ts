import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { routeOf } from "../../node/api/mount.ts";
import { problemCodes } from "../../node/api/problems.ts";
import type { Route } from "../../node/api/route.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { adminToken, newClient, startApi } from "./support/running-api.ts";

/** The contract's routes that this API has; draining nodes, /docs and /console come later. */
const contract: readonly (readonly [string, string, Route["auth"]])[] = [
  ["get", "/v1/files/{name}", "client"],
  ["head", "/v1/files/{name}", "client"],
  ["put", "/v1/files/{name}", "client"],
  ["delete", "/v1/files/{name}", "client"],
  ["get", "/v1/records/{name}", "client"],
  ["patch", "/v1/records/{name}", "client"],
  ["get", "/v1/records", "client"],
  ["post", "/v1/clients", "none"],
  ["get", "/v1/clients/me", "client"],
  ["post", "/v1/clients/me/secret", "client"],
  ["get", "/v1/cluster", "either"],
  ["get", "/v1/cluster/events", "either"],
  ["post", "/v1/cluster/nodes", "operator"],
  ["delete", "/v1/cluster/nodes/{id}", "operator"],
  ["post", "/v1/cluster/leader", "operator"],
  ["get", "/v1/cluster/backup", "operator"],
  ["get", "/livez", "none"],
  ["get", "/readyz", "none"],
  ["get", "/metrics", "none"],
  ["get", "/problems/{code}", "none"],
  ["get", "/problems", "none"],
  ["get", "/openapi.json", "none"],
];

/** What the Express router really holds. */
interface RouterLayer {
  readonly handle: { readonly length: number };
  readonly route?: { readonly stack: readonly { readonly method?: string; readonly handle: object }[] };
}

describe("the router", async () => {
  const { app, http, depot } = await startApi();
  const layers: readonly RouterLayer[] = (app as unknown as { router: { stack: RouterLayer[] } }).router.stack;
  const handlers = layers.flatMap((layer) => layer.route?.stack ?? []).filter(({ method }) => method !== undefined);

  test("holds nothing but declared routes, each with an authentication rule, and the error handler", () => {
    for (const { handle, method } of handlers) {
      const route = routeOf(handle);
      assert.ok(route !== undefined, "a handler nobody declared");
      assert.equal(route.method, method);
      assert.ok(["none", "client", "operator", "either"].includes(route.auth));
    }
    const middleware = layers.filter((layer) => layer.route === undefined);
    assert.deepEqual(
      middleware.map(({ handle }) => handle.length),
      [4],
      "the error handler, and no middleware beside it",
    );
  });

  test("has exactly the contract's routes with the contract's authentication rules", () => {
    const mounted = handlers
      .map(({ handle }) => routeOf(handle))
      .map((route) => `${route?.method} ${route?.path} ${route?.auth}`);
    assert.deepEqual(new Set(mounted), new Set(contract.map((each) => each.join(" "))));
    assert.equal(mounted.length, contract.length);
  });

  for (const [method, path, auth] of contract) {
    test(`${method.toUpperCase()} ${path} lets in whom its rule (${auth}) says, before it looks at anything else`, async () => {
      const agent: Record<string, (path: string) => ReturnType<typeof http.get>> = http as never;
      const concrete = path.replace("{name}", "a%00").replace("{code}", "forbidden").replace("{id}", "n9");
      // A stream of events has no end; its header fields are enough.
      const ask = agent[path.endsWith("/events") ? "head" : method];
      const replies = [
        await ask?.(concrete),
        await ask?.(concrete).set("Authorization", (await newClient(depot)).basic),
        await ask?.(concrete).set("Authorization", `Bearer ${adminToken}`),
      ];
      const expected = {
        none: ["in", "in", "in"],
        client: [401, "in", 403],
        operator: [401, 403, "in"],
        either: [401, "in", "in"],
      }[auth];
      assert.deepEqual(
        replies.map((reply) => (reply?.status === 401 || reply?.status === 403 ? reply.status : "in")),
        expected,
      );
    });
  }
});

describe("/openapi.json", async () => {
  const { http } = await startApi();
  const { body: document } = await http.get("/openapi.json");
  const operations: readonly { method: string; path: string; operation: Record<string, never> }[] = Object.entries(
    document.paths,
  ).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Record<string, never>>).map(([method, operation]) => ({
      method,
      path,
      operation,
    })),
  );

  test("is OpenAPI 3.1 and has every mounted route, and no other", () => {
    assert.match(document.openapi, /^3\.1\./);
    const documented = operations.map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual(documented.sort(), contract.map(([method, path]) => `${method} ${path}`).sort());
  });

  test("documents every problem code", () => {
    const text = JSON.stringify(document.paths);
    const missing = problemCodes.filter((code) => !text.includes(`\`${code}\``));
    assert.deepEqual(missing, []);
  });

  test("names the credentials of every route as its rule says", () => {
    const schemes = { none: [], client: ["client"], operator: ["operator"], either: ["client", "operator"] };
    for (const [method, path, auth] of contract) {
      const { operation } = operations.find((each) => each.method === method && each.path === path) ?? {};
      const security: readonly Record<string, unknown>[] = operation?.["security"] ?? [];
      assert.deepEqual(
        security.flatMap((each) => Object.keys(each)),
        schemes[auth],
        `${method} ${path}`,
      );
    }
  });

  test("every reference in it resolves", () => {
    for (const [, path = ""] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      let found: unknown = document;
      for (const key of path.split("/")) found = Object(found)[key];
      assert.ok(found !== undefined, path);
    }
  });

  test("is compressed for those who accept it", async () => {
    const reply = await http.get("/openapi.json").set("Accept-Encoding", "gzip");
    assert.equal(reply.headers["content-encoding"], "gzip");
    assert.deepEqual(reply.body, document);
    assertProblem(await http.get("/openapi.json/").set("Accept-Encoding", "gzip"), "no-such-route");
  });
});
