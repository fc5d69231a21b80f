/**
 * `node bench/catalog-open.ts [--files 1000000] [--replicas 3] [--folder DIR]`: how long a killed node takes to open its
 * stores again, with so many records in the catalog.
 *
 *   child: fills a data directory, the last writes not synced ──► kill -9 ──► parent: openDataDirectory, open: how long?
 *
 * Opening reads all of the log, checks every block of every table, and cuts and replays the write-ahead logs.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  logIndex,
  type NodeId,
  newBlobId,
  newClientId,
  newIncarnation,
  type ReplicaCount,
  type Sha256,
  staged,
  term,
  version,
} from "../node/base/ids.ts";
import { silentLogger } from "../node/base/logger.ts";
import { foundingWrites, readMeta } from "../node/catalog/apply.ts";
import { fileKey, holderKey } from "../node/catalog/keys.ts";
import { parseFileName } from "../node/catalog/names.ts";
import { encodeFile, encodeHolderRow } from "../node/catalog/row-codec.ts";
import type { FileRecord, Write } from "../node/catalog/types.ts";
import { foundingOf } from "../node/replication/founding.ts";
import { openDataDirectory } from "../node/storage/data-directory.ts";
import { systemDisk } from "../node/storage/system/system-disk.ts";
import type { DataDirectory } from "../node/storage/types.ts";

const { values } = parseArgs({
  options: {
    files: { type: "string", default: "1000000" },
    replicas: { type: "string", default: "3" },
    folder: { type: "string" },
    fill: { type: "string" },
  },
});
const files = Number(values.files);
const replicas = Number(values.replicas);
const nodes = Array.from({ length: replicas }, (_, at) => `n${at + 1}` as NodeId);
const filesPerWrite = 256;
const logEntries = 10_000;

if (values.fill === undefined) await measure();
else await fill(values.fill);

function open(path: string): Promise<DataDirectory> {
  return openDataDirectory({
    path,
    nodeId: "n1" as NodeId,
    disk: systemDisk,
    logger: silentLogger,
    appliedOf: (catalog) => readMeta(catalog).applied,
  });
}

async function measure(): Promise<void> {
  const folder = mkdtempSync(join(values.folder ?? tmpdir(), "deposito-open-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "data");
  const child = fork(import.meta.filename, ["--fill", path, "--files", `${files}`, "--replicas", `${replicas}`]);
  const [filled] = await Promise.race([once(child, "message"), once(child, "exit")]);
  if (filled !== "filled") throw new Error(`filling ended with ${String(filled)}`);
  child.kill("SIGKILL");
  await once(child, "exit");
  const sizeBytes = readdirSync(path, { recursive: true })
    .map((name) => statSync(join(path, String(name))))
    .reduce((sum, stats) => sum + (stats.isFile() ? stats.size : 0), 0);

  const startMs = performance.now();
  const directory = await open(path);
  const lockedMs = performance.now();
  const { catalog, log } = await directory.open();
  const openMs = performance.now();
  if (catalog === undefined || log.recovered.lostPromises) throw new Error("the stores are damaged");
  process.stdout.write(
    `${files} files, ${replicas} replicas each, ${logEntries} entries in the log, ${(sizeBytes / 2 ** 20).toFixed(0)} MiB on disk, ` +
      `after kill -9: lock and hard state ${(lockedMs - startMs).toFixed(0)} ms, log and catalog ${(openMs - lockedMs).toFixed(0)} ms\n`,
  );
  await directory.close();
}

/** Fills a blank directory, tells the parent, and waits for its kill. */
async function fill(path: string): Promise<void> {
  const directory = await open(path);
  await directory.claim(newIncarnation());
  const address = { host: "127.0.0.1", port: 1 };
  const members = nodes.map((id) => {
    return { id, incarnation: newIncarnation(), role: "voter", zone: "a", api: address, peer: address } as const;
  });
  const founding = foundingOf("bench", members);
  const { writes, meta } = foundingWrites(founding);
  await directory.found(founding, writes, meta.applied);
  const { catalog, log } = await directory.open();
  const clientId = newClientId();
  for (let from = 0; from < files; from += filesPerWrite) {
    const count = Math.min(filesPerWrite, files - from);
    const rows = Array.from({ length: count }, (_, at) => rowsOf(clientId, from + at)).flat();
    // As a node does it: mostly not synced, and not at all at the end.
    await catalog?.write(rows, { sync: from % (100 * filesPerWrite) === 0 });
  }
  for (let from = 2; from < logEntries; from += 100) {
    const append = Array.from({ length: 100 }, (_, at) => {
      return { index: logIndex(from + at), term: term(1), kind: "command", data: Buffer.alloc(300, at) } as const;
    });
    await log.persist({ hardState: undefined, append });
  }
  process.send?.("filled");
  setInterval(() => undefined, 1000);
}

function rowsOf(clientId: FileRecord["clientId"], number: number): Write[] {
  const name = parseFileName(`photos/${number % 1000}/${number}.jpg`);
  const blob = {
    blobId: newBlobId(),
    sizeBytes: 48_213,
    sha256: number.toString(16).padStart(64, "0") as Sha256,
  };
  const record: FileRecord = {
    clientId,
    name,
    blob,
    contentType: "image/jpeg",
    replicas: replicas as ReplicaCount,
    version: version(number + 2),
    createdAt: 1_700_000_000_000,
    updatedAt: 1_700_000_000_000,
    holders: nodes.map((node) => ({ node, state: "present", staged: staged(number + 1) })),
  };
  return [
    { key: fileKey(clientId, name), value: encodeFile(record) },
    ...nodes.map((node) => ({
      key: holderKey(node, blob.blobId),
      value: encodeHolderRow({ node, blob, clientId, name, state: "present" }),
    })),
  ];
}
