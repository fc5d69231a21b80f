import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type BackupOptions, saveBackup } from "../../node/backup-command.ts";
import { type ErrorCode, hasCode } from "../../node/base/errors.ts";
import type { NodeId } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { restoreNode } from "../../node/restore-command.ts";
import { groupOf, openNodeDirectory, temporaryFolder } from "../replication/support/node-disk.ts";
import { levelFolder } from "../support/disk-faults.ts";
import { backupOf, catalogWith } from "./support.ts";

const fails = (code: ErrorCode, text: RegExp) => (error: unknown) => hasCode(error, code) && text.test(error.message);

/** The command line's choice of a node whose API answers like this. */
async function choosing(t: TestContext, answer: RequestListener): Promise<BackupOptions> {
  const folder = temporaryFolder(t);
  const server = createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const api = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  const peer = { host: "127.0.0.1", port: 1 };
  const own = { id: "n1" as NodeId, role: "voter", zone: "a", dataDir: join(folder, "n1"), api, peer } as const;
  return { own, adminToken: "the token", out: join(folder, "a.backup"), offline: false, logger: silentLogger };
}

const filesOf = ({ out }: BackupOptions) => readdirSync(join(out, "..")).filter((name) => name.startsWith("a.backup"));

describe("saving a backup", () => {
  test("asks the node as an operator, and keeps what is whole under its name, for nobody else to read", async (t) => {
    const backup = await backupOf(catalogWith(10).catalog);
    const asked: unknown[] = [];
    const options = await choosing(t, (request, response) => {
      asked.push([request.url, request.headers.authorization]);
      response.end(backup);
    });
    writeFileSync(options.out, "an older one");
    const { header, sizeBytes } = await saveBackup(options);
    assert.deepEqual(asked, [["/v1/cluster/backup", "Bearer the token"]]);
    assert.deepEqual([header.applied.index, sizeBytes], [11, backup.length]);
    assert.ok(readFileSync(options.out).equals(backup));
    assert.equal(statSync(options.out).mode & 0o077, 0);
    assert.deepEqual(filesOf(options), ["a.backup"]);
  });

  const backup = backupOf(catalogWith(10).catalog);
  const broken: readonly (readonly [string, RequestListener, ErrorCode, RegExp])[] = [
    ["a refusal with a reason", refuse(401, { detail: "not the operators' token" }), "peer-refused", /401: not the op/],
    ["no majority", refuse(503, { detail: "no majority answered" }), "peer-refused", /use --offline/],
    ["somebody else's page", (_request, response) => void response.writeHead(404).end("<html>"), "peer-refused", /404/],
    [
      "a connection that breaks",
      (_request, response) => response.write("depo", () => response.destroy()),
      "peer-unreachable",
      /broke off/,
    ],
    [
      "half a backup",
      async (_request, response) => void response.end((await backup).subarray(0, -9)),
      "backup-damaged",
      /not complete/,
    ],
    ["something else", (_request, response) => void response.end("hello"), "backup-damaged", /not begin/],
  ];
  for (const [what, answer, code, text] of broken)
    test(`changes nothing where it comes to nothing: ${what}`, async (t) => {
      const options = await choosing(t, answer);
      writeFileSync(options.out, "an older one");
      await assert.rejects(saveBackup(options), fails(code, text));
      assert.equal(readFileSync(options.out, "utf8"), "an older one");
      assert.deepEqual(filesOf(options), ["a.backup"]);
    });

  test("of a node that does not run says how to do it without", async (t) => {
    const options = await choosing(t, () => undefined);
    const own = { ...options.own, api: { host: "::1", port: 1 } };
    await assert.rejects(saveBackup({ ...options, own }), fails("peer-unreachable", /does not run.*--offline/));
    assert.equal(existsSync(options.out), false);
  });

  test("to where nothing can be written says so", async (t) => {
    const options = await choosing(t, (_request, response) => void response.end());
    await assert.rejects(saveBackup({ ...options, out: join(options.out, "nowhere", "b") }), { code: "ENOENT" });
  });
});

describe("saving a backup from a directory", () => {
  test("that belongs to no group, or has lost its catalog, says so", async (t) => {
    const options = { ...(await choosing(t, () => undefined)), offline: true };
    await assert.rejects(saveBackup(options), fails("data-directory-foreign", /no metadata/));
    await (await openNodeDirectory(options.own.dataDir, groupOf("n1"), options.own.id)).close();
    assert.equal((await saveBackup(options)).header.applied.index, 1);
    await (await openNodeDirectory(options.own.dataDir, groupOf("n1"), options.own.id)).close();
    rmSync(join(levelFolder(options.own.dataDir, "catalog"), "CURRENT"));
    await assert.rejects(saveBackup(options), fails("no-catalog", /another node/));
  });
});

describe("restoring", () => {
  test("a file that is not there, or damaged, changes nothing", async (t) => {
    const { own, out, logger } = await choosing(t, () => undefined);
    const restore = () => restoreNode({ own, from: out, replace: true, logger });
    await assert.rejects(restore(), fails("config-invalid", /cannot read .*a\.backup/));
    const bytes = await backup();
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(out, bytes);
    await assert.rejects(restore(), fails("backup-damaged", /checksum/));
    assert.equal(existsSync(own.dataDir), false);
  });

  const backup = async () => Buffer.from(await backupOf(catalogWith(10).catalog));
});

function refuse(status: number, body: object): RequestListener {
  return (_request, response) => void response.writeHead(status).end(JSON.stringify(body));
}
