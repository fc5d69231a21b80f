import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, request } from "undici";
import {
  bearer,
  type ClusterStatus,
  type Credentials,
  clusterStatus,
  readiness,
  registerClient,
} from "../../scripts/cluster-api.ts";
import {
  type ClusterFile,
  type ClusterNode,
  localNodes,
  newSecrets,
  type Secrets,
} from "../../scripts/cluster-file.ts";
import { exitText, NodeProcess } from "../../scripts/cluster-process.ts";
import { ApiClient } from "./api-client.ts";
import { ClusterMember } from "./cluster-member.ts";
import { freePorts } from "./free-ports.ts";
import { PeerNetwork } from "./proxy.ts";
import { type ReplicaOnDisk, replicasIn } from "./replicas-on-disk.ts";

export interface ClusterOptions {
  readonly nodes: number;
  /** Puts proxies between the nodes: `cluster.network` then cuts and delays. */
  readonly proxied: boolean;
  /** How many newcomers there may be in a proxied cluster: the next ids after those of `nodes`. */
  readonly newcomers: number;
  /** Goes into the configuration file, over the fast timings that tests run with. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Makes other nodes of the usual ones: other roles, other folders. */
  readonly shape: (nodes: readonly ClusterNode[]) => readonly ClusterNode[];
  /** Those of a cluster whose folders these nodes take over; new ones if left out. */
  readonly secrets: Secrets;
  /** For every node; secrets are there anyway. */
  readonly environment: Readonly<Record<string, string>>;
}

/** What of node:test's context is used: a last act, and whether the test failed. */
interface TestScope {
  readonly passed?: boolean;
  after(act: () => Promise<void>): void;
}

/** Fast enough for tests, slow enough for two busy cores. */
const testTimings = {
  raft: { heartbeatMs: 40, electionTimeoutMs: 400 },
  repair: { graceMs: 1000, scrubIntervalHours: 168, maxMiBPerSecond: 256 },
  limits: { maxFileBytes: 1_099_511_627_776, uploadIdleMs: 10_000, minFreeBytes: 1 << 20 },
};
const readyLimitMs = 30_000;
const statusLimitMs = 2000;
const operateLimitMs = 15_000;
const pollMs = 25;
/** For looking at what a failed test left: its folders, logs included, then stay. */
const keepFolders = process.env["DEPOSITO_TEST_KEEP"] !== undefined;
const preload = join(import.meta.dirname, "dial-through-proxies.ts");

/** A real cluster on free ports in a folder of its own; everything it started ends with `close`, or with this process. */
export class Cluster {
  readonly folder: string;
  /** Those that take part, or shall. */
  readonly members: ClusterMember[];
  readonly secrets: Secrets;
  readonly configFile: string;
  readonly #network: PeerNetwork | undefined;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #reserved: readonly ClusterNode[];
  readonly #needsAdmin: boolean;
  /** Everybody there ever was. */
  readonly #all: ClusterMember[];
  #isFolderKept = keepFolders;
  readonly #dispatcher = new Agent({ connect: { timeout: 2000 }, keepAliveTimeout: 1000 });

  private constructor(parts: {
    readonly folder: string;
    readonly configFile: string;
    readonly nodes: readonly ClusterNode[];
    readonly reserved: readonly ClusterNode[];
    readonly secrets: Secrets;
    readonly environment: Readonly<Record<string, string>>;
    readonly network: PeerNetwork | undefined;
    readonly needsAdmin: boolean;
  }) {
    this.folder = parts.folder;
    this.configFile = parts.configFile;
    this.secrets = parts.secrets;
    this.#environment = parts.environment;
    this.#network = parts.network;
    this.#reserved = parts.reserved;
    this.#needsAdmin = parts.needsAdmin;
    this.members = parts.nodes.map((node) => this.#member(node, parts.configFile));
    this.#all = [...this.members];
    liveClusters.add(this);
  }

  /** Lays out folder, ports and configuration; starts nothing. The caller must `close` it. */
  static async create(options: Partial<ClusterOptions> = {}): Promise<Cluster> {
    const count = options.nodes ?? 3;
    const newcomers = options.newcomers ?? 0;
    const folder = mkdtempSync(join(tmpdir(), "deposito-cluster-"));
    const ports = await freePorts(2 * (count + newcomers));
    const local = (nodes: number) =>
      localNodes({
        count: nodes,
        apiPort: (index) => ports[2 * index] ?? 0,
        peerPort: (index) => ports[2 * index + 1] ?? 0,
        dataDir: (id) => join(folder, id),
      });
    const usual = local(count);
    const nodes = options.shape?.(usual) ?? usual;
    const reserved = local(count + newcomers).slice(count);
    const secrets = options.secrets ?? newSecrets();
    const configFile = join(folder, "cluster.json");
    writeFileSync(configFile, JSON.stringify({ cluster: "test", nodes, ...testTimings, ...options.config }, null, 2));
    mkdirSync(join(folder, "logs"));
    const peers = [...nodes, ...reserved].map(({ id, peer }) => ({ id, port: peer.port }));
    const network = options.proxied === true ? await PeerNetwork.open(peers) : undefined;
    const environment = options.environment ?? {};
    const needsAdmin = options.config?.["registration"] === "admin";
    return new Cluster({ folder, configFile, nodes, reserved, secrets, environment, network, needsAdmin });
  }

  #member(node: ClusterNode, configFile: string): ClusterMember {
    const { id } = node;
    const dial = this.#network === undefined ? {} : { DEPOSITO_TEST_DIAL: JSON.stringify(this.#network.dialMap(id)) };
    const logFile = join(this.folder, "logs", `${id}.log`);
    const environment = { ...this.secrets, ...dial, ...this.#environment };
    const process = new NodeProcess({ id, configFile, logFile, environment, preload: this.isProxied ? [preload] : [] });
    return new ClusterMember(node, process, logFile);
  }

  /**
   * One more node, whose configuration names it and those there are. It is blank, and not started; the group does not know
   * of it. In a proxied cluster there are only as many, and with such ids, as `newcomers` said.
   */
  async newcomer(id: string, role: ClusterNode["role"] = "voter"): Promise<ClusterMember> {
    const reserved = this.#reserved.find((node) => node.id === id);
    if (reserved === undefined && this.isProxied) throw new Error(`there are no proxies for ${id}`);
    const node: ClusterNode = { ...(reserved ?? (await this.#unreserved(id))), role, zone: id };
    const config = JSON.parse(readFileSync(this.configFile, "utf8")) as ClusterFile;
    const configFile = join(this.folder, `cluster-${id}.json`);
    writeFileSync(configFile, JSON.stringify({ ...config, nodes: [...config.nodes, node] }, null, 2));
    const member = this.#member(node, configFile);
    this.#all.push(member);
    this.members.push(member);
    return member;
  }

  async #unreserved(id: string): Promise<ClusterNode> {
    const [apiPort = 0, peerPort = 0] = await freePorts(2);
    const address = (port: number) => ({ host: "127.0.0.1", port });
    const dataDir = join(this.folder, id);
    return { id, role: "voter", zone: id, dataDir, api: address(apiPort), peer: address(peerPort) };
  }

  /** A node does not take part any more; it may be let in again. */
  leave(member: ClusterMember): void {
    const place = this.members.indexOf(member);
    if (place >= 0) this.members.splice(place, 1);
  }

  /** A node that left shall take part again. */
  enter(member: ClusterMember): void {
    if (!this.members.includes(member)) this.members.push(member);
  }

  /** What an operator asks of a node. */
  async operate(
    through: string | number,
    method: "POST" | "DELETE",
    path: string,
    json?: unknown,
  ): Promise<{ readonly status: number; readonly body: unknown }> {
    const answer = await request(`${this.node(through).api}${path}`, {
      method,
      headers: {
        authorization: bearer(this.secrets),
        ...(json === undefined ? {} : { "content-type": "application/json" }),
      },
      body: json === undefined ? null : JSON.stringify(json),
      dispatcher: this.#dispatcher,
      signal: AbortSignal.timeout(operateLimitMs),
    });
    return { status: answer.statusCode, body: await answer.body.json() };
  }

  /** Starts every node that is not running and waits until all are ready and there is a leader. */
  async start(): Promise<void> {
    for (const member of this.members) if (!member.isRunning) member.start();
    await this.waitReady();
    await this.waitForLeader();
  }

  /** By id, or by place from 0. */
  node(which: string | number): ClusterMember {
    const member = typeof which === "number" ? this.members[which] : this.#all.find(({ id }) => id === which);
    if (member === undefined) throw new Error(`there is no node ${which}`);
    return member;
  }

  get isProxied(): boolean {
    return this.#network !== undefined;
  }

  /** The proxies between the nodes. */
  get network(): PeerNetwork {
    if (this.#network === undefined) throw new Error("this cluster was created without { proxied: true }");
    return this.#network;
  }

  /** What the cluster says of itself: of the nodes that answer now, one that knows a leader, of the newest term; or undefined. */
  async status(limitMs = statusLimitMs): Promise<ClusterStatus | undefined> {
    const asked = this.members.filter(({ isAwake }) => isAwake).map((member) => this.statusOf(member, limitMs));
    return (await Promise.all(asked))
      .filter((status) => status !== undefined)
      .toSorted(
        (one, other) => Number(other.leader !== null) - Number(one.leader !== null) || other.term - one.term,
      )[0];
  }

  /** What one node says of the cluster; undefined when it does not answer. */
  statusOf(member: ClusterMember, limitMs = statusLimitMs): Promise<ClusterStatus | undefined> {
    return clusterStatus(member.api, bearer(this.secrets), { dispatcher: this.#dispatcher, limitMs });
  }

  /** The leader, if a node that is awake says so now. */
  async leader(limitMs = statusLimitMs): Promise<ClusterMember | undefined> {
    const leader = (await this.status(limitMs))?.leader;
    if (leader === undefined || leader === null) return undefined;
    const member = this.node(leader);
    return member.isAwake ? member : undefined;
  }

  /** Waits for a leader that is awake; with `otherThan`, for another one than that. */
  async waitForLeader(otherThan?: ClusterMember, limitMs = readyLimitMs): Promise<ClusterMember> {
    return await this.until("there is a leader", limitMs, async () => {
      const leader = await this.leader();
      return leader === otherThan ? undefined : leader;
    });
  }

  /** Waits until the nodes, all that are awake if left out, answer 200 on /readyz. */
  async waitReady(
    members: readonly ClusterMember[] = this.members.filter(({ isAwake }) => isAwake),
    limitMs = readyLimitMs,
  ): Promise<void> {
    let reasons: readonly string[] = [];
    await this.until(
      "the nodes are ready",
      limitMs,
      async () => {
        for (const member of members) {
          if (!member.isRunning)
            throw new Error(`${member.id} ended: ${exitText(await member.exited)} ${member.stderr}`);
        }
        const states = await Promise.all(members.map(({ api }) => readiness(api, this.#dispatcher)));
        reasons = states.map(({ reasons }, index) => `${members[index]?.id}: ${reasons || "ready"}`);
        return states.every(({ ready }) => ready) ? true : undefined;
      },
      () => reasons.join("; "),
    );
  }

  /** Waits until every node that is awake has heard from every other one: each can then be chosen for replicas. */
  async waitAcquainted(limitMs = readyLimitMs): Promise<void> {
    const awake = this.members.filter(({ isAwake }) => isAwake);
    await this.until("the nodes have heard from each other", limitMs, async () => {
      for (const member of awake) {
        const status = await this.statusOf(member);
        const up = status?.nodes.filter(({ state }) => state === "up").map(({ id }) => id) ?? [];
        if (!awake.every(({ id }) => up.includes(id))) return undefined;
      }
      return true;
    });
  }

  /** Waits until every wanted replica is present, as the cluster itself counts them. */
  async waitWhole(limitMs = readyLimitMs): Promise<void> {
    let last: ClusterStatus | undefined;
    await this.until(
      "every replica is present",
      limitMs,
      async () => {
        // Each of them: one that has not applied the last change yet does not know what is missing.
        for (const member of this.members.filter(({ isAwake }) => isAwake)) {
          last = await this.statusOf(member);
          if (last === undefined || last.replicas.missing > 0) return undefined;
        }
        return true;
      },
      () => JSON.stringify(last?.replicas),
    );
  }

  /** Asks again and again until `ask` answers something. @throws after `limitMs`, with `why`. */
  async until<T>(
    what: string,
    limitMs: number,
    ask: () => Promise<T | undefined>,
    why: () => string = () => "",
  ): Promise<T> {
    const giveUpAt = performance.now() + limitMs;
    for (;;) {
      const answer = await ask();
      if (answer !== undefined) return answer;
      if (performance.now() > giveUpAt) throw new Error(`not within ${limitMs} ms: ${what}. ${why()}`);
      await delay(pollMs);
    }
  }

  /** A new depositor. */
  async registerClient(through: string | number = 0): Promise<ApiClient> {
    const credentials = await registerClient(this.node(through).api, {
      dispatcher: this.#dispatcher,
      ...(this.#needsAdmin ? { authorization: bearer(this.secrets) } : {}),
    });
    return this.clientOf(credentials);
  }

  /** A depositor that is registered already. */
  clientOf(credentials: Credentials): ApiClient {
    return new ApiClient(credentials, (node) => this.node(node).api, this.#dispatcher);
  }

  /** Which nodes have intact bytes with this digest on their disks, by id in order. */
  replicasOnDisk(sha256: string): string[] {
    return this.members
      .filter(({ dataDir }) => replicasIn(dataDir).some((replica) => replica.sha256 === sha256 && replica.intact))
      .map(({ id }) => id);
  }

  /** Every blob on the disks, by node. */
  allReplicasOnDisk(): ReadonlyMap<string, readonly ReplicaOnDisk[]> {
    return new Map(this.members.map(({ id, dataDir }) => [id, replicasIn(dataDir)]));
  }

  /** What the nodes said last, for a test that failed. */
  describe(lines = 30): string {
    return this.#all
      .map((member) => {
        const state = member.isAwake ? "running" : member.isRunning ? "paused" : "ended";
        const log = member.pid === undefined ? [] : member.logLines(lines);
        return `── ${member.id} ${state}, process ${member.pid}\n${log.join("\n")}\n${member.stderr}`;
      })
      .join("\n");
  }

  /** Every end of a node that no test asked for. */
  get crashes(): readonly string[] {
    return this.#all.flatMap(({ crashes }) => crashes);
  }

  killAll(): void {
    for (const member of this.#all) void member.kill();
  }

  /** Its folder stays, logs included, to be looked at. */
  keepFolder(): void {
    this.#isFolderKept = true;
  }

  /** Removes the folder, unless it is kept. */
  removeFolder(): void {
    if (!this.#isFolderKept) rmSync(this.folder, { recursive: true, force: true });
  }

  /** Ends all of it and removes the folder. */
  async close(): Promise<void> {
    liveClusters.delete(this);
    await Promise.all(this.#all.map((member) => member.kill()));
    await this.#network?.close();
    await this.#dispatcher.destroy();
    this.removeFolder();
  }
}

/**
 * A cluster that is up, for one test; it ends with the test, and says what its nodes logged when the test failed. A node that
 * ended by itself fails the test, unless it was told to `expectEnd`.
 */
export async function startCluster(scope: TestScope, options: Partial<ClusterOptions> = {}): Promise<Cluster> {
  const cluster = await Cluster.create(options);
  scope.after(async () => {
    const { crashes } = cluster;
    if (scope.passed !== true || crashes.length > 0) process.stderr.write(`${cluster.describe()}\n`);
    if (keepFolders) process.stderr.write(`kept: ${cluster.folder}\n`);
    await cluster.close();
    if (crashes.length > 0) throw new Error(crashes.join("\n"));
  });
  await cluster.start();
  return cluster;
}

const liveClusters = new Set<Cluster>();

// However this process ends short of SIGKILL, the nodes end first; after SIGKILL their leashes end them.
process.on("exit", () => {
  for (const cluster of liveClusters) {
    cluster.killAll();
    cluster.removeFolder();
  }
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    // Whoever listens besides wants to end in its own way.
    if (process.listenerCount(signal) === 0) process.exit(130);
  });
}
