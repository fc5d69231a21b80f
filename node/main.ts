#!/usr/bin/env node
import { Command } from "commander";
import { systemClock } from "./base/clock.ts";
import { DepositoError } from "./base/errors.ts";
import { parseNodeId } from "./base/ids.ts";
import { createLogger } from "./base/logger.ts";
import { loadConfig } from "./config.ts";
import { runUntilStopped } from "./node.ts";
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
  .action(async (options: { readonly config: string; readonly node: string }) => {
    try {
      await serve(options);
    } catch (error) {
      // One line for what a person can mend; the whole error for what only we can.
      const text = error instanceof DepositoError ? error.message : String((error as Error).stack ?? error);
      process.stderr.write(`deposito: ${text}\n`);
      process.exit(1);
    }
  });

await program.parseAsync();

/** Runs one node until it is told to stop; starts it anew when its catalog must come from its peers. */
async function serve({ config: path, node }: { readonly config: string; readonly node: string }): Promise<void> {
  const config = loadConfig(path, process.env);
  const nodeId = parseNodeId(node);
  const names = config.nodes.map(({ id }) => id).join(", ");
  if (nodeId === undefined || !config.nodes.some(({ id }) => id === nodeId))
    throw new DepositoError("config-invalid", `${path} has no node ${node}; its nodes are ${names}`);
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
