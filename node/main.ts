#!/usr/bin/env node
import { Command } from "commander";
import type { BackupHeader } from "./backup/format.ts";
import { saveBackup } from "./backup-command.ts";
import { systemClock } from "./base/clock.ts";
import { DepositoError } from "./base/errors.ts";
import { createLogger } from "./base/logger.ts";
import { type Config, loadConfig, type NodeConfig } from "./config.ts";
import { runUntilStopped } from "./node.ts";
import { restoreNode } from "./restore-command.ts";
import { systemSurroundings } from "./surroundings.ts";

/** A second signal counts as one from here on. */
const impatientMs = 1000;

const program = new Command("deposito")
  .description("A replicated file depository.")
  .showHelpAfterError()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

program
  .command("serve")
  .description("run one node in the foreground")
  .requiredOption("--config <file>", "the cluster's configuration file")
  .requiredOption("--node <id>", "which of its nodes to run")
  .action(reporting(serve));

program
  .command("backup")
  .description("save the metadata of the group, without the files' bytes, to a file")
  .requiredOption("--config <file>", "the cluster's configuration file")
  .requiredOption("--node <id>", "which of its nodes to ask")
  .requiredOption("--out <file>", "where the backup goes")
  .option("--offline", "read the directory of the node, which must be stopped, instead of asking it", false)
  .action(reporting(backup));

program
  .command("restore")
  .description("prepare the directory of one node for a new group that begins with a backup")
  .requiredOption("--config <file>", "the configuration of the new group")
  .requiredOption("--node <id>", "which of its nodes to prepare")
  .requiredOption("--from <file>", "the backup, the same for every node")
  .option("--replace", "give up the metadata that the directory holds; blobs are kept in any case", false)
  .action(reporting(restore));

await program.parseAsync();

interface NodeChoice {
  readonly config: string;
  readonly node: string;
}

/** One line for what a person can mend; the whole error for what only we can. */
function reporting<T>(act: (options: T) => Promise<void>): (options: T) => Promise<void> {
  return async (options) => {
    try {
      await act(options);
    } catch (error) {
      const text = error instanceof DepositoError ? error.message : String((error as Error).stack ?? error);
      process.stderr.write(`deposito: ${text}\n`);
      process.exit(1);
    }
  };
}

/** @throws {DepositoError} `config-invalid` */
function choose({ config: path, node }: NodeChoice): { readonly config: Config; readonly own: NodeConfig } {
  const config = loadConfig(path, process.env);
  const own = config.nodes.find(({ id }) => id === node);
  if (own !== undefined) return { config, own };
  const names = config.nodes.map(({ id }) => id).join(", ");
  throw new DepositoError("config-invalid", `${path} has no node ${node}; its nodes are ${names}`);
}

async function backup(options: NodeChoice & { readonly out: string; readonly offline: boolean }): Promise<void> {
  const { config, own } = choose(options);
  const { out, offline } = options;
  const logger = createLogger({ node: own.id }, "warn", process.stderr.fd);
  const { header, sizeBytes } = await saveBackup({ own, adminToken: config.adminToken, out, offline, logger });
  process.stdout.write(`${out}: ${describeBackup(header)}; ${sizeBytes} bytes, read back and whole\n`);
}

async function restore(options: NodeChoice & { readonly from: string; readonly replace: boolean }): Promise<void> {
  const { config, own } = choose(options);
  const { from, replace } = options;
  const logger = createLogger({ node: own.id }, "warn", process.stderr.fd);
  const header = await restoreNode({ own, from, replace, logger });
  const others = config.nodes.filter(({ id }) => id !== own.id).map(({ id }) => id);
  const next = others.length === 0 ? "" : `; restore ${others.join(", ")} from the same file`;
  process.stdout.write(`${own.dataDir}: ${describeBackup(header)}${next}, then start every node\n`);
}

function describeBackup({ clusterName, applied, totals, madeAt }: BackupHeader): string {
  return `cluster ${clusterName} up to entry ${applied.index}, ${totals.files} files, made ${madeAt}`;
}

/** Runs one node until it is told to stop; starts it anew when its catalog must come from its peers. */
async function serve(options: NodeChoice): Promise<void> {
  const { config, own } = choose(options);
  const { id: nodeId } = own;
  const logger = createLogger({ node: nodeId }, process.env["DEPOSITO_LOG_LEVEL"]);
  const stop = new AbortController();
  let firstSignalMs: number | undefined;
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => {
      const nowMs = systemClock.monotonicMs();
      firstSignalMs ??= nowMs;
      logger.info({ signal }, "stopping");
      stop.abort(new DepositoError("no-quorum", "this node is stopping"));
      // Who asks again does not want to wait. Right after the first it is the same wish, sent by terminal and parent both.
      if (nowMs - firstSignalMs >= impatientMs) process.exit(1);
    });
  const die = (error: unknown) => {
    logger.fatal({ err: error }, "ending at once, so that nothing more is promised");
    process.exit(1);
  };
  process.on("uncaughtException", die);
  const batching = process.env["DEPOSITO_BATCHING"] !== "off";
  await runUntilStopped({ config, nodeId, logger, surroundings: systemSurroundings, batching, stop: stop.signal, die });
  logger.info("stopped");
  process.exit(0);
}
