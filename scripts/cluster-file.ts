import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";

/** A node as the configuration file names it. */
export interface ClusterNode {
  readonly id: string;
  readonly role: "voter" | "storage";
  readonly zone: string;
  readonly dataDir: string;
  readonly api: { readonly host: string; readonly port: number };
  readonly peer: { readonly host: string; readonly port: number };
}

/** The configuration file, as far as whoever starts the nodes needs it. */
export interface ClusterFile {
  readonly cluster: string;
  readonly registration?: "open" | "admin";
  readonly nodes: readonly ClusterNode[];
}

/** What a node reads from its environment instead of from a file. */
export interface Secrets {
  readonly DEPOSITO_SECRET: string;
  readonly DEPOSITO_ADMIN_TOKEN: string;
}

/** Where a node answers clients. */
export function apiUrl(node: Pick<ClusterNode, "api">): string {
  return `http://${node.api.host}:${node.api.port}`;
}

export function readClusterFile(path: string): ClusterFile {
  return JSON.parse(readFileSync(path, "utf8")) as ClusterFile;
}

/** Nodes n1 … nN on this machine; an odd number of them vote, at most seven, so that no vote is tied. */
export function localNodes(options: {
  readonly count: number;
  readonly apiPort: (index: number) => number;
  readonly peerPort: (index: number) => number;
  readonly dataDir: (id: string) => string;
}): ClusterNode[] {
  const voters = Math.min(options.count % 2 === 0 ? options.count - 1 : options.count, 7);
  return Array.from({ length: options.count }, (_, index) => {
    const id = `n${index + 1}`;
    return {
      id,
      role: index < voters ? "voter" : "storage",
      zone: String.fromCharCode(97 + (index % 26)),
      dataDir: options.dataDir(id),
      api: { host: "127.0.0.1", port: options.apiPort(index) },
      peer: { host: "127.0.0.1", port: options.peerPort(index) },
    };
  });
}

export function newSecrets(): Secrets {
  return {
    DEPOSITO_SECRET: randomBytes(32).toString("base64url"),
    DEPOSITO_ADMIN_TOKEN: randomBytes(32).toString("base64url"),
  };
}

/** The secrets kept in `file`, made on the first call; readable by its owner only, in the form `node --env-file` reads. */
export function keepSecrets(file: string): Secrets {
  if (!existsSync(file)) {
    const lines = Object.entries(newSecrets()).map(([name, value]) => `${name}=${value}\n`);
    writePrivate(file, lines.join(""));
  }
  const text = readFileSync(file, "utf8");
  const valueOf = (name: keyof Secrets): string => {
    const value = new RegExp(`^${name}=(.+)$`, "m").exec(text)?.[1];
    if (value === undefined) throw new Error(`${file} has no ${name}; it was made by the first start of this cluster.`);
    return value;
  };
  return {
    DEPOSITO_SECRET: valueOf("DEPOSITO_SECRET"),
    DEPOSITO_ADMIN_TOKEN: valueOf("DEPOSITO_ADMIN_TOKEN"),
  };
}

/** Writes a file that only its owner can read. */
export function writePrivate(file: string, text: string): void {
  mkdirSync(dirname(resolve(file)), { recursive: true });
  writeFileSync(file, text, { mode: 0o600 });
}

/** What `npm start` was asked for. */
export interface StartOptions {
  readonly nodes: number | undefined;
  readonly data: string | undefined;
  readonly basePort: number | undefined;
}

/** A cluster to start: its file, and the folder for logs, secrets and the remembered client. */
export interface ClusterPlan {
  readonly configFile: string;
  readonly dataDir: string;
  readonly file: ClusterFile;
}

/**
 * The file for the options: the one that comes with the project, the one an earlier start left in the data folder, or a new one.
 * @throws when the folder holds a cluster of another shape: its nodes know each other by number and address.
 */
export function planCluster(root: string, options: StartOptions): ClusterPlan {
  const { nodes, data, basePort } = options;
  if (nodes === undefined && data === undefined && basePort === undefined) {
    const configFile = join(root, "cluster-config", "three-nodes.json");
    return { configFile, dataDir: join(root, "data"), file: readClusterFile(configFile) };
  }
  const dataDir = resolve(data ?? join(root, "data", `${nodes ?? 3}-nodes-at-${basePort ?? 4001}`));
  const configFile = join(dataDir, "cluster.json");
  if (existsSync(configFile)) {
    const file = readClusterFile(configFile);
    refuseOtherShape(dataDir, file, options);
    return { configFile, dataDir, file };
  }
  const firstPort = basePort ?? 4001;
  const file: ClusterFile = {
    cluster: `${nodes ?? 3}-nodes`,
    nodes: localNodes({
      count: nodes ?? 3,
      apiPort: (index) => firstPort + index,
      peerPort: (index) => firstPort + 100 + index,
      dataDir: (id) => `./${id}`,
    }),
  };
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(configFile, `${JSON.stringify(file, null, 2)}\n`);
  return { configFile, dataDir, file };
}

function refuseOtherShape(dataDir: string, file: ClusterFile, { nodes, basePort }: StartOptions): void {
  const firstPort = file.nodes[0]?.api.port;
  if ((nodes ?? file.nodes.length) === file.nodes.length && (basePort ?? firstPort) === firstPort) return;
  throw new Error(
    `${dataDir} holds a cluster of ${file.nodes.length} nodes from port ${firstPort}.\n` +
      "Start it without --nodes and --base-port, or choose another folder with --data.",
  );
}

/** Which of the addresses of `nodes` another program listens on already, in words. */
export async function portsInUse(nodes: readonly ClusterNode[]): Promise<string[]> {
  const addresses = nodes.flatMap(({ id, api, peer }) => [
    { what: `port ${api.port} (${id}, API)`, ...api },
    { what: `port ${peer.port} (${id}, peers)`, ...peer },
  ]);
  const free = await Promise.all(addresses.map(({ host, port }) => isFree(host, port)));
  return addresses.filter((_, index) => free[index] === false).map(({ what }) => what);
}

/** Whether a process may listen there now. */
export function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
