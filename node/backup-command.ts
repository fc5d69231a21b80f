/**
 * `deposito backup`: the metadata of a group into a file, from a running node through its API, or from the directory of one
 * that is stopped. It is read back from disk before it gets its name.
 */
import { request } from "undici";
import { type BackupHeader } from "./backup/format.ts";
import { withLogTail } from "./backup/log-tail.ts";
import { readBackup } from "./backup/read.ts";
import { writeBackup } from "./backup/write.ts";
import { DepositoError } from "./base/errors.ts";
import type { Logger } from "./base/logger.ts";
import { readMeta } from "./catalog/apply.ts";
import type { NodeConfig } from "./config.ts";
import { openDataDirectory } from "./storage/data-directory.ts";
import { systemDisk } from "./storage/system/system-disk.ts";
import { replaceFile } from "./storage/system/whole-file.ts";

export interface BackupOptions {
  readonly own: NodeConfig;
  readonly adminToken: string;
  /** Where the backup goes; what stood there before is replaced once the new one is whole. */
  readonly out: string;
  /** From the directory of the node, which does not run, instead of from the running node. */
  readonly offline: boolean;
  readonly logger: Logger;
}

/** A backup that is durable under its name, and was read back. */
export interface SavedBackup {
  readonly header: BackupHeader;
  readonly sizeBytes: number;
}

/** @throws {DepositoError} saying what to do; the file then has not changed. */
export async function saveBackup(options: BackupOptions): Promise<SavedBackup> {
  const { checked: header, sizeBytes } = await replaceFile(
    options.out,
    (take) => (options.offline ? fromDirectory(options, take) : take(fromNode(options))),
    (bytes) => readBackup(bytes, async () => undefined),
  );
  return { header, sizeBytes };
}

async function* fromNode({ own, adminToken }: BackupOptions): AsyncGenerator<Uint8Array> {
  const { host, port } = own.api;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/v1/cluster/backup`;
  try {
    const answer = await request(url, { headers: { authorization: `Bearer ${adminToken}` } });
    if (answer.statusCode !== 200) throw refused(own, answer.statusCode, await answer.body.text());
    yield* answer.body as AsyncIterable<Buffer>;
  } catch (error) {
    if (error instanceof DepositoError) throw error;
    throw new DepositoError(
      "peer-unreachable",
      `node ${own.id} at ${host}:${port} ${whyOf(error)}: ask a node that runs, or stop this one and use --offline on its machine`,
      { cause: error },
    );
  }
}

function refused({ id }: NodeConfig, status: number, body: string): DepositoError {
  let detail = "";
  try {
    detail = `: ${(JSON.parse(body) as { readonly detail: string }).detail}`;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error; // not a problem document: somebody else answers there
  }
  const advice = status === 503 ? "; without a majority, stop the node and use --offline" : "";
  return new DepositoError("peer-refused", `node ${id} answered ${status}${detail}${advice}`);
}

function whyOf(error: unknown): string {
  const isRefused = error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
  return isRefused ? "does not run" : `broke off (${error instanceof Error ? error.message : String(error)})`;
}

async function fromDirectory(
  { own, logger }: BackupOptions,
  take: (bytes: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const directory = await openDataDirectory({
    path: own.dataDir,
    nodeId: own.id,
    disk: systemDisk,
    logger,
    appliedOf: (catalog) => readMeta(catalog).applied,
  });
  try {
    if (directory.identity?.clusterId === undefined)
      throw new DepositoError(
        "data-directory-foreign",
        `${own.dataDir} holds no metadata: node ${own.id} is in no group`,
      );
    const { catalog, log } = await directory.open();
    if (catalog === undefined)
      throw new DepositoError(
        "no-catalog",
        `the catalog in ${own.dataDir} is damaged or gone: try the directory of another node`,
      );
    await take(writeBackup(await withLogTail(catalog, log), new Date()));
  } finally {
    await directory.close();
  }
}
