import { relative } from "node:path";
import { styleText } from "node:util";
import type { Credentials } from "./cluster-api.ts";
import { apiUrl, type ClusterNode } from "./cluster-file.ts";

// What `npm start` says. Colours and bold appear on a terminal only.

const bold = (text: string) => styleText("bold", text, { stream: process.stdout });
const dim = (text: string) => styleText("dim", text, { stream: process.stdout });
const green = (text: string) => styleText("green", text, { stream: process.stdout });

export interface RunningNode {
  readonly node: ClusterNode;
  readonly pid: number | undefined;
}

/** A table of the nodes; the leader is marked. */
export function nodesText(cluster: string, nodes: readonly RunningNode[], leader: string): string {
  const rows = nodes.map(({ node, pid }) => [
    node.id,
    node.id === leader ? "leader" : node.role === "voter" ? "follower" : "storage",
    apiUrl(node),
    String(node.peer.port),
    String(pid ?? "-"),
  ]);
  const table = [["node", "role", "API", "peer port", "process"], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = table.map((row, index) => {
    const line = `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd();
    return index === 0 ? dim(line) : row[1] === "leader" ? green(line) : line;
  });
  return `\n${bold(`The cluster ${cluster} is up.`)}\n\n${lines.join("\n")}\n`;
}

/** The client, and lines to paste: deposit, retrieve elsewhere, change the count, list, look, kill, retrieve again. */
export function firstStepsText(
  credentials: Credentials,
  nodes: readonly RunningNode[],
  leader: string,
  isNewClient: boolean,
): string {
  const urls = nodes.map(({ node }) => apiUrl(node));
  const [door = ""] = urls;
  const other = urls[1] ?? door;
  const survivor = nodes.find(({ node }) => node.id !== leader)?.node;
  const leaderPid = nodes.find(({ node }) => node.id === leader)?.pid;
  const count = Math.min(3, nodes.length);
  const retrieve = (url: string) =>
    `curl -su $C ${url}/v1/files/README.md | cmp - README.md && echo "the same, bit for bit"`;
  const steps: [string, ...string[]][] = [
    ["Keep the client's id and secret in a variable", `C=${credentials.clientId}:${credentials.secret}`],
    [
      `Deposit a file with ${count} ${count === 1 ? "replica" : "replicas"}; any node takes it`,
      `curl -u $C -T README.md -H 'Deposito-Replicas: ${count}' ${door}/v1/files/README.md`,
    ],
    ["Retrieve it from another node", retrieve(other)],
  ];
  if (count > 1) {
    steps.push([
      "Change the number of replicas",
      `curl -u $C -X PATCH -H 'Content-Type: application/json' -d '{"replicas":${count - 1}}' ${door}/v1/records/README.md`,
    ]);
  }
  steps.push(["List what you deposited", `curl -u $C '${door}/v1/records'`]);
  steps.push(["See the cluster", `curl -u $C ${door}/v1/cluster`]);
  if (survivor !== undefined) {
    steps.push([
      `Kill the leader, ${leader}, and get the file again`,
      `kill -9 ${leaderPid}`,
      retrieve(apiUrl(survivor)),
    ]);
  }
  const client = `  client ${isNewClient ? "(registered now, remembered for the next start)" : "(the same as last time)"}`;
  const facts = `    id      ${credentials.clientId}\n    secret  ${credentials.secret}\n`;
  const texts = steps.map(
    ([title, ...lines]) => `${dim(`  # ${title}`)}\n${lines.map((line) => `  ${line}`).join("\n")}\n`,
  );
  return `\n${client}\n${facts}\n${texts.join("\n")}`;
}

/** How to start one node by hand, from the project's folder. */
export function serveCommand(root: string, configFile: string, secretsFile: string, id: string): string {
  const near = (path: string) => {
    const path_ = relative(root, path);
    return path_.startsWith("..") ? path : path_;
  };
  return `node_modules/.bin/node --env-file=${near(secretsFile)} node/main.ts serve --config ${near(configFile)} --node ${id}`;
}

/** What is said when a node ended while the cluster was running. */
export function nodeEndedText(id: string, how: string, stderr: string, command: string, canAsk: boolean): string {
  const reason = stderr === "" ? "" : `\n  ${stderr.split("\n").slice(-3).join("\n  ")}`;
  const again = canAsk
    ? `Press r and Enter to start it again, or run:\n  ${command}`
    : `Start it again with:\n  ${command}`;
  return `\n${bold(`${id} ended (${how}).`)} The others go on as long as a majority of voters lives.${reason}\n${again}\n`;
}
