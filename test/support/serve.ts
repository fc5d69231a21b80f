import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterNode, Secrets } from "../../scripts/cluster-file.ts";
import { type Exit, NodeProcess } from "../../scripts/cluster-process.ts";

interface Scope {
  after(act: () => Promise<void> | void): void;
}

export interface ServeOptions {
  readonly id: string;
  readonly configFile: string;
  /** For the secrets, mostly. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How a `deposito serve` ended that could not run. */
export interface Refusal extends Exit {
  readonly stderr: string;
}

const refusalLimitMs = 20_000;
const endings = new WeakMap<Scope, (() => Promise<void> | void)[]>();

/** What came last goes first: a process before the folder it writes to. */
function atEnd(scope: Scope, act: () => Promise<void> | void): void {
  const acts = endings.get(scope);
  if (acts !== undefined) {
    acts.push(act);
    return;
  }
  const first = [act];
  endings.set(scope, first);
  scope.after(async () => {
    for (const end of first.toReversed()) await end();
  });
}

/** One `deposito serve` beside any cluster; it ends with the test. */
export function serve(scope: Scope, options: ServeOptions): NodeProcess & { readonly logFile: string } {
  const folder = temporaryFolder(scope);
  const logFile = join(folder, "node.log");
  const node = new NodeProcess({ ...options, logFile, preload: [] });
  atEnd(scope, async () => {
    node.signal("SIGKILL");
    await node.exited;
  });
  node.start();
  return Object.assign(node, { logFile });
}

/** Starts a node that shall refuse to run. @throws when it still runs after 20 s, with what it logged. */
export async function refusalOf(scope: Scope, options: ServeOptions): Promise<Refusal> {
  const node = serve(scope, options);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    node.signal("SIGKILL");
  }, refusalLimitMs);
  const exit = await node.exited;
  clearTimeout(timer);
  if (isLate)
    throw new Error(`${options.id} still ran after ${refusalLimitMs} ms: ${readFileSync(node.logFile, "utf8")}`);
  return { ...exit, stderr: node.stderr };
}

/** A folder that goes away with the test. */
export function temporaryFolder(scope: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), "deposito-serve-"));
  atEnd(scope, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a configuration file for `nodes` with the secrets in it. */
export function writeConfig(folder: string, nodes: readonly ClusterNode[], secrets: Secrets): string {
  const configFile = join(folder, `cluster-${nodes.map(({ api }) => api.port).join("-")}.json`);
  const { DEPOSITO_SECRET: secret, DEPOSITO_ADMIN_TOKEN: adminToken } = secrets;
  writeFileSync(configFile, JSON.stringify({ cluster: "test", secret, adminToken, nodes }));
  return configFile;
}
