import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ask, basic, bearer, type Credentials, clusterStatus, readiness, registerClient } from "./cluster-api.ts";
import {
  apiUrl,
  type ClusterPlan,
  keepSecrets,
  planCluster,
  portsInUse,
  type Secrets,
  writePrivate,
} from "./cluster-file.ts";
import { exitText, NodeProcess } from "./cluster-process.ts";
import { firstStepsText, nodeEndedText, nodesText, serveCommand } from "./start-text.ts";

// npm start: a cluster on this machine, in the foreground.
//
//   plan (which file, which folder) → start the nodes → wait for all and a leader → register a client → say how to use it
//   → watch, until Ctrl-C or SIGTERM → end the nodes in order

const usage = `npm start [-- --nodes N] [--data DIR] [--base-port P]

Starts the cluster of cluster-config/three-nodes.json, or another one on this machine:
  --nodes N        so many nodes, 1 to 64
  --data DIR       their folder; data/N-nodes-at-P if left out
  --base-port P    clients are answered from port P on, nodes talk from P + 100 on; 4001 if left out
`;
const root = fileURLToPath(new URL("..", import.meta.url));
const startLimitMs = 60_000;
const stopLimitMs = 12_000;
/** A terminal and npm may both deliver one Ctrl-C; only a later one is a second. */
const secondSignalMs = 500;

/** A reason to stop that needs no stack. */
class StartError extends Error {}

class RunningCluster {
  readonly plan: ClusterPlan;
  readonly secrets: Secrets;
  readonly secretsFile: string;
  readonly processes: readonly NodeProcess[];
  #stopping = false;

  constructor(plan: ClusterPlan) {
    this.plan = plan;
    this.secretsFile = join(plan.dataDir, "secrets.env");
    this.secrets = keepSecrets(this.secretsFile);
    this.processes = plan.file.nodes.map(
      ({ id }) =>
        new NodeProcess({
          id,
          configFile: plan.configFile,
          logFile: join(plan.dataDir, `${id}.log`),
          environment: { ...this.secrets },
          preload: [],
        }),
    );
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  /** @throws StartError when another program, likely this cluster itself, has the ports. */
  async startAll(): Promise<void> {
    const taken = await portsInUse(this.plan.file.nodes);
    if (taken.length > 0) {
      throw new StartError(
        `In use already: ${taken.join(", ")}.\nIf this cluster is running in another terminal, end it there with Ctrl-C; ` +
          "or start another one beside it:\n  npm start -- --base-port 5001",
      );
    }
    for (const process of this.processes) process.start();
  }

  /** Resolves with the leader's id once every node is ready. @throws StartError with the reason when that does not happen. */
  async waitUntilUp(): Promise<string> {
    const { nodes } = this.plan.file;
    const giveUpAt = performance.now() + startLimitMs;
    for (;;) {
      const states = await Promise.all(nodes.map((node) => readiness(apiUrl(node))));
      const [first] = nodes;
      const status = first && (await clusterStatus(apiUrl(first), bearer(this.secrets)));
      this.#refuseEnded();
      if (states.every(({ ready }) => ready) && status?.leader) {
        clearProgress();
        return status.leader;
      }
      const waiting = nodes.filter((_, index) => states[index]?.ready !== true).map(({ id }) => id);
      showProgress(`Waiting for ${waiting.length === 0 ? "a leader" : waiting.join(", ")} …`);
      if (performance.now() > giveUpAt) throw new StartError(this.#explainSlow(states));
      await delay(100);
    }
  }

  #refuseEnded(): void {
    const ended = this.processes.find(({ isRunning }) => !isRunning);
    if (ended === undefined) return;
    const reason = ended.stderr || `It said nothing; see ${join(this.plan.dataDir, `${ended.id}.log`)}`;
    throw new StartError(`${ended.id} did not start:\n  ${reason.split("\n").slice(-8).join("\n  ")}`);
  }

  #explainSlow(states: readonly { readonly ready: boolean; readonly reasons: string }[]): string {
    const lines = states.map(({ ready, reasons }, index) => {
      const id = this.plan.file.nodes[index]?.id;
      return ready ? `  ${id} is ready` : `  ${id} is not ready: ${reasons}`;
    });
    return `The cluster was not up after ${startLimitMs / 1000} s.\n${lines.join("\n")}\nTheir logs are in ${this.plan.dataDir}.`;
  }

  /** The client of an earlier start, if the cluster still knows it, so that its files stay in reach; else a new one. */
  async client(): Promise<{ readonly credentials: Credentials; readonly isNew: boolean }> {
    const file = join(this.plan.dataDir, "client.json");
    const [first] = this.plan.file.nodes;
    if (first === undefined) throw new StartError(`${this.plan.configFile} names no nodes.`);
    if (existsSync(file)) {
      const remembered = JSON.parse(readFileSync(file, "utf8")) as Credentials;
      const answer = await ask(`${apiUrl(first)}/v1/clients/me`, { authorization: basic(remembered) });
      if (answer?.status === 200) return { credentials: remembered, isNew: false };
    }
    const needsAdmin = this.plan.file.registration === "admin";
    const credentials = await registerClient(apiUrl(first), {
      label: "npm start",
      ...(needsAdmin ? { authorization: bearer(this.secrets) } : {}),
    });
    writePrivate(file, `${JSON.stringify(credentials, null, 2)}\n`);
    return { credentials, isNew: true };
  }

  /** Says so each time a node ends on its own; ends everything once none is left and nobody can be asked. */
  watch(process: NodeProcess, canAsk: boolean, onAllEnded: () => void): void {
    void process.exited.then((exit) => {
      if (this.#stopping) return;
      const command = serveCommand(root, this.plan.configFile, this.secretsFile, process.id);
      say(nodeEndedText(process.id, exitText(exit), process.stderr, command, canAsk));
      if (!canAsk && this.processes.every(({ isRunning }) => !isRunning)) onAllEnded();
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const ends = await Promise.all(this.processes.map((process) => process.stop(stopLimitMs)));
    const forced = this.processes.filter((_, index) => ends[index]?.forced === true).map(({ id }) => id);
    if (forced.length > 0) say(`${forced.join(", ")} did not end within ${stopLimitMs / 1000} s and was killed.\n`);
  }

  killAll(): void {
    for (const process of this.processes) process.signal("SIGKILL");
  }
}

function say(text: string): void {
  clearProgress();
  process.stdout.write(text);
}

let shownProgress = "";

/** One line that rewrites itself on a terminal; elsewhere a line each time it changes. */
function showProgress(text: string): void {
  if (text === shownProgress) return;
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
  else process.stdout.write(`${text}\n`);
  shownProgress = text;
}

function clearProgress(): void {
  if (shownProgress !== "" && process.stdout.isTTY) process.stdout.write("\r\x1b[K");
  shownProgress = "";
}

function parseOptions() {
  const { values } = parseArgs({
    options: {
      nodes: { type: "string" },
      data: { type: "string" },
      "base-port": { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  const wholeNumber = (name: "nodes" | "base-port", from: number, to: number): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const number = Number(text);
    if (Number.isInteger(number) && number >= from && number <= to) return number;
    throw new StartError(`--${name} must be a whole number from ${from} to ${to}, not ${text}.\n\n${usage}`);
  };
  return {
    help: values.help === true,
    nodes: wholeNumber("nodes", 1, 64),
    data: values.data,
    basePort: wholeNumber("base-port", 1, 65_300),
  };
}

/** Ends the cluster on the first signal, in order; on a second one at once. Resolves when one came. */
function untilSignal(cluster: RunningCluster): Promise<void> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        if (firstAt === undefined) {
          firstAt = performance.now();
          say("\nStopping the nodes …\n");
          resolve();
        } else if (performance.now() - firstAt > secondSignalMs) {
          say("Killed.\n");
          cluster.killAll();
          process.exit(130);
        }
      });
    }
  });
}

/** Starts nodes that ended again when `r` is typed. */
function restartOnRequest(cluster: RunningCluster, watch: (process: NodeProcess) => void): void {
  createInterface({ input: process.stdin }).on("line", (line) => {
    if (line.trim() !== "r" || cluster.isStopping) return;
    const ended = cluster.processes.filter(({ isRunning }) => !isRunning);
    for (const each of ended) {
      each.start();
      watch(each);
    }
    say(
      ended.length === 0
        ? "Every node is running.\n"
        : `Started ${ended.map(({ id, pid }) => `${id} (process ${pid})`).join(", ")}.\n`,
    );
  });
}

async function main(): Promise<number> {
  const options = parseOptions();
  if (options.help) {
    say(usage);
    return 0;
  }
  const cluster = new RunningCluster(planCluster(root, options));
  const signalled = untilSignal(cluster);
  try {
    await cluster.startAll();
    const leader = await Promise.race([cluster.waitUntilUp(), signalled]);
    if (leader === undefined) return 0;
    const { credentials, isNew } = await cluster.client();
    const running = cluster.plan.file.nodes.map((node, index) => ({ node, pid: cluster.processes[index]?.pid }));
    say(nodesText(cluster.plan.file.cluster, running, leader));
    say(firstStepsText(credentials, running, leader, isNew));
    say(`\nLogs and data are in ${cluster.plan.dataDir}. Ctrl-C stops the cluster.\n`);

    const canAsk = process.stdin.isTTY === true;
    const allEnded = new Promise<"all-ended">((resolve) => {
      const watch = (each: NodeProcess) => cluster.watch(each, canAsk, () => resolve("all-ended"));
      for (const each of cluster.processes) watch(each);
      if (canAsk) restartOnRequest(cluster, watch);
    });
    return (await Promise.race([signalled, allEnded])) === "all-ended" ? 1 : 0;
  } finally {
    await cluster.stop();
  }
}

try {
  process.exit(await main());
} catch (error) {
  clearProgress();
  // Reasons for a person have no stack; anything else is a bug of this script.
  const isReason = error instanceof Error && (error.constructor === Error || error instanceof StartError);
  const isUsage =
    error instanceof TypeError && String((error as NodeJS.ErrnoException).code).startsWith("ERR_PARSE_ARGS");
  const text = isUsage ? `${error.message}\n\n${usage}` : isReason ? error.message : (error as Error).stack;
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
