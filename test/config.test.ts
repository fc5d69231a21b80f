import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { hasCode } from "../node/base/errors.ts";
import { loadConfig } from "../node/config.ts";

const folder = mkdtempSync(join(tmpdir(), "deposito-config-"));
after(() => rmSync(folder, { recursive: true }));

const valid = {
  cluster: "three-nodes",
  secret: "0123456789abcdef",
  adminToken: "fedcba9876543210",
  nodes: [
    {
      id: "n1",
      role: "voter",
      zone: "a",
      dataDir: "../data/n1",
      api: { host: "127.0.0.1", port: 4001 },
      peer: { host: "127.0.0.1", port: 4101 },
    },
  ],
};

function load(content: unknown, environment: NodeJS.ProcessEnv = {}) {
  const path = join(folder, "cluster.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return loadConfig(path, environment);
}

function problemsOf(content: unknown, environment: NodeJS.ProcessEnv = {}): string {
  try {
    load(content, environment);
  } catch (error) {
    assert.ok(hasCode(error, "config-invalid"));
    return error.message;
  }
  return assert.fail("the configuration was accepted");
}

describe("configuration", () => {
  test("only cluster, secret, adminToken and nodes are required; the rest has the contract's defaults", () => {
    const config = load(valid);
    assert.deepEqual(config.raft, { heartbeatMs: 50, electionTimeoutMs: 500 });
    assert.deepEqual(config.repair, { graceMs: 30_000, scrubIntervalHours: 168, maxMiBPerSecond: 64 });
    assert.deepEqual(config.limits, { maxFileBytes: 2 ** 40, uploadIdleMs: 30_000, minFreeBytes: 2 ** 28 });
    assert.equal(config.registration, "open");
    assert.equal(config.defaultReplicas, 2);
  });

  test("dataDir is relative to the file", () => {
    assert.equal(load(valid).nodes[0]?.dataDir, join(folder, "..", "data", "n1"));
  });

  test("the environment overrides secrets, so that none needs to be in the file", () => {
    const { secret: _, adminToken: __, ...without } = valid;
    const config = load(without, { DEPOSITO_SECRET: "s".repeat(16), DEPOSITO_ADMIN_TOKEN: "t".repeat(16) });
    assert.equal(config.secret, "s".repeat(16));
    assert.equal(config.adminToken, "t".repeat(16));
  });

  test("a missing secret is reported with the variable that may hold it", () => {
    const { secret: _, ...without } = valid;
    assert.match(problemsOf(without), /secret: missing; put it in the file or in DEPOSITO_SECRET/);
  });

  test("every problem is reported with its path, all at once", () => {
    const [node] = valid.nodes;
    const problems = problemsOf({
      ...valid,
      secret: "short",
      colour: "blue",
      nodes: [{ ...node, id: "-x", api: { host: "127.0.0.1", port: 70_000 }, size: 3 }],
    });
    for (const path of [
      "secret:",
      "colour: unknown key",
      "nodes[0].id:",
      "nodes[0].api.port:",
      "nodes[0].size: unknown key",
    ])
      assert.ok(problems.includes(path), `${path} in ${problems}`);
  });

  test("two nodes may not share an id, an address or a directory", () => {
    const problems = problemsOf({ ...valid, nodes: [valid.nodes[0], valid.nodes[0]] });
    for (const path of ["nodes[1].id", "nodes[1].dataDir", "nodes[1].api", "nodes[1].peer"])
      assert.ok(problems.includes(path), `${path} in ${problems}`);
  });

  test("a group without a voter is refused", () => {
    assert.match(problemsOf({ ...valid, nodes: [{ ...valid.nodes[0], role: "storage" }] }), /nodes: .*voter/);
  });

  test("an election timeout too close to the heartbeat is refused", () => {
    const problems = problemsOf({ ...valid, raft: { heartbeatMs: 200, electionTimeoutMs: 300 } });
    assert.match(problems, /raft\.electionTimeoutMs: must be at least three times/);
  });

  test("what is not JSON, and a file that is not there, are each one clear line", () => {
    assert.match(problemsOf("{"), /is not JSON/);
    assert.throws(() => loadConfig(join(folder, "absent.json"), {}), /cannot read .*absent\.json/);
  });
});
