import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemChance } from "../../node/base/chance.ts";
import { DepositoError } from "../../node/base/errors.ts";
import {
  type ClientId,
  type ClusterId,
  type NodeId,
  newClientId,
  newIncarnation,
  parseNodeId,
} from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { parseFileName } from "../../node/catalog/names.ts";
import { readHolder } from "../../node/catalog/tables.ts";
import type { Address, FileRecord, MemberFacts } from "../../node/catalog/types.ts";
import { createDepot } from "../../node/depot/depot.ts";
import { BlobHolder } from "../../node/depot/local-holder.ts";
import type { DepositAnswer, DepositRequest, LocalHolder, RunningDepot } from "../../node/depot/types.ts";
import type { Gossip } from "../../node/replication/types.ts";
import { openFileBlobStore } from "../../node/storage/blobs/file-blob-store.ts";
import { layoutOf } from "../../node/storage/layout.ts";
import { systemDisk } from "../../node/storage/system/system-disk.ts";
import type { BlobStore, StoredBlob } from "../../node/storage/types.ts";
import type { Hello } from "../../node/transport/types.ts";
import { InProcessLog, InProcessReplication } from "./in-process-log.ts";
import { type HolderCall, InProcessPeers, type Wire, watchedHolder } from "./in-process-peers.ts";
import { ManualClock } from "./manual-clock.ts";

/** How long disks may take for what a test waits for. */
const patienceMs = 20_000;
export const minFreeBytes = 1_000_000;
export const noPreconditions = { ifMatch: undefined, ifNoneMatch: undefined };

/** One node without consensus and network: real catalog, real blobs on disk, real holder, real depot. */
export interface DepotNode {
  readonly id: NodeId;
  readonly dataDir: string;
  readonly replication: InProcessReplication;
  readonly blobs: BlobStore;
  readonly holder: BlobHolder;
  readonly depot: RunningDepot;
}

/** What a test says of a deposit; the rest has defaults. */
export type TestDeposit = Partial<Omit<DepositRequest, "name" | "body">> & {
  readonly body?: AsyncIterable<Uint8Array>;
};

/** Several nodes in one process, with one client registered. */
export class DepotCluster implements Wire {
  readonly clock = new ManualClock();
  readonly nodes: DepotNode[] = [];
  readonly calls: HolderCall[] = [];
  readonly fatal: unknown[] = [];
  readonly breaksReadsAt = new Map<NodeId, number>();
  readonly freeBytes = new Map<NodeId, number>();
  client: ClientId = newClientId();
  secret = "";
  /** Interferes with calls to holders; see `HolderCall`. */
  onCall: (call: HolderCall) => void | Promise<void> = () => undefined;
  /** Who answers at an address: nobody, unless a test says so. */
  onHello: (address: Address) => Hello = ({ host, port }) => {
    throw new DepositoError("peer-unreachable", `${host}:${port}: nobody there`);
  };
  readonly #down = new Set<NodeId>();
  readonly #folder: string;
  readonly #options: DepotClusterOptions;
  readonly #log: InProcessLog;

  static async start(options: DepotClusterOptions): Promise<DepotCluster> {
    const folder = await mkdtemp(join(tmpdir(), "deposito-depot-"));
    const cluster = new DepotCluster(folder, options);
    for (const member of cluster.#log.founding.members) cluster.nodes.push(await cluster.#startNode(member.id));
    const { client, secret } = await cluster.node(0).depot.registerClient("tests");
    cluster.client = client.clientId;
    cluster.secret = secret;
    return cluster;
  }

  private constructor(folder: string, options: DepotClusterOptions) {
    this.#folder = folder;
    this.#options = options;
    const ids = Array.from({ length: options.nodes }, (_, at) => nodeId(`n${at + 1}`));
    this.#log = new InProcessLog({
      clusterId: newIncarnation() as string as ClusterId,
      clusterName: "depot-tests",
      members: ids.map(member),
    });
  }

  async stop(): Promise<void> {
    for (const { depot, holder, blobs } of this.nodes) {
      await holder.close();
      await depot.close();
      await blobs.close();
    }
    await rm(this.#folder, { recursive: true });
    assert.deepEqual(this.fatal, []);
  }

  node(at: number): DepotNode {
    const node = this.nodes[at];
    assert.ok(node, `no node ${at}`);
    return node;
  }
  get ids(): readonly NodeId[] {
    return this.nodes.map(({ id }) => id);
  }

  holder(id: NodeId): LocalHolder {
    const node = this.nodes.find((each) => each.id === id);
    assert.ok(node, `no node ${id}`);
    return node.holder;
  }
  async before(call: HolderCall): Promise<void> {
    this.calls.push(call);
    await this.onCall(call);
  }
  async hello(address: Address): Promise<Hello> {
    return this.onHello(address);
  }
  isDown(node: NodeId): boolean {
    return this.#down.has(node);
  }
  /** The node falls silent: no call reaches it and it hears nothing of the log. */
  takeDown(at: number): void {
    this.#down.add(this.node(at).id);
    this.node(at).replication.isCut = true;
  }
  bringBack(at: number): void {
    this.#down.delete(this.node(at).id);
    this.node(at).replication.isCut = false;
    this.node(at).replication.catchUp();
  }

  /** Deposits through node `at`. */
  deposit(at: number, name: string, bytes: Uint8Array, more: TestDeposit = {}): Promise<DepositAnswer> {
    return this.node(at).depot.deposit({
      clientId: this.client,
      name: parseFileName(name),
      body: chunksOf(bytes),
      declaredBytes: bytes.length,
      declaredSha256: undefined,
      contentType: undefined,
      replicas: undefined,
      preconditions: noPreconditions,
      bodyAwaited: false,
      wantBody: () => undefined,
      ...more,
    });
  }

  /** Reads a file whole through node `at`. */
  async retrieve(at: number, name: string, range?: { readonly start: number; readonly end: number }): Promise<Buffer> {
    const retrieval = await this.node(at).depot.retrieve(this.client, parseFileName(name));
    const whole = { start: 0, end: retrieval.record.blob.sizeBytes };
    return collect(retrieval.read(range ?? whole, new AbortController().signal));
  }

  record(at: number, name: string): Promise<FileRecord> {
    return this.node(at).depot.record(this.client, parseFileName(name));
  }

  /** Every blob on the disk of node `at`. */
  blobsOn(at: number): Promise<readonly StoredBlob[]> {
    return this.node(at).blobs.list(undefined, 1000);
  }

  /** How many blobs, and stages of blobs, lie on all disks. */
  async litter(): Promise<number> {
    let count = 0;
    for (const [at, { dataDir }] of this.nodes.entries()) {
      count += (await this.blobsOn(at)).length + (await readdir(layoutOf(dataDir).stage)).length;
    }
    return count;
  }

  /** Moves the clock on until `isTrue`, letting whatever is under way happen in between. */
  async until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    while (performance.now() < deadlineMs) {
      if (await isTrue()) return;
      this.clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.fail(`never happened: ${what}`);
  }

  /** Resolves when every replica of the file is where its record says, and nowhere else. */
  async untilWhole(name: string, count: number): Promise<void> {
    await this.until(async () => {
      const { holders, blob } = await this.record(0, name);
      const present = holders.filter(({ state }) => state === "present").map((holder) => holder.node);
      if (present.length !== count || holders.length !== count) return false;
      const rows = this.ids.filter((id) => readHolder(this.node(0).replication.catalog, id, blob.blobId));
      const onDisk: NodeId[] = [];
      for (const [at, { id }] of this.nodes.entries()) {
        if ((await this.blobsOn(at)).some(({ blobId }) => blobId === blob.blobId)) onDisk.push(id);
      }
      return [rows, onDisk].every((nodes) => nodes.length === count && nodes.every((id) => present.includes(id)));
    }, `${name} with ${count} replicas`);
  }

  async #startNode(id: NodeId): Promise<DepotNode> {
    const dataDir = join(this.#folder, id);
    await mkdir(dataDir);
    const blobs = await openFileBlobStore({
      dataDir,
      boots: 1,
      disk: systemDisk,
      logger: silentLogger,
      metrics: undefined,
      batching: true,
    });
    const peers = new InProcessPeers(id, this);
    const freeBytes = () => this.#freeOn(id);
    const onFatal = (error: unknown) => this.fatal.push(error);
    const { clock } = this;
    const logger = silentLogger;
    const holder = new BlobHolder({
      self: id,
      blobs,
      peers,
      freeBytes,
      minFreeBytes,
      logger,
      batching: true,
      onFatal,
    });
    const replication = new InProcessReplication(id, this.#log);
    const depot = createDepot({
      self: id,
      replication,
      holder: watchedHolder(id, holder, this),
      peers,
      gossip: this.#gossip(),
      clock,
      chance: systemChance,
      logger,
      defaultReplicas: 2,
      limits: { maxFileBytes: 1024 ** 3, uploadIdleMs: 30_000, minFreeBytes, ...this.#options.limits },
      repair: { graceMs: 30_000, scrubIntervalHours: 168, maxMiBPerSecond: 64, ...this.#options.repair },
      freeBytes,
      onFatal,
    });
    if (this.#options.reconciling) depot.start();
    return { id, dataDir, replication, blobs, holder, depot };
  }

  #freeOn(node: NodeId): number {
    return this.freeBytes.get(node) ?? 1024 ** 4;
  }

  #gossip(): Gossip {
    return {
      of: (node) => {
        const found = this.#log.founding.members.find(({ id }) => id === node);
        const replica = this.nodes.find(({ id }) => id === node)?.replication;
        if (found === undefined || replica === undefined) return undefined;
        const freeBytes = this.#freeOn(node);
        return {
          status: {
            node,
            api: found.api,
            term: replica.raft().term,
            match: replica.applied,
            applied: replica.applied,
            files: 0,
            bytes: 0,
            freeBytes,
            lostPromises: false,
            takesBytes: freeBytes >= minFreeBytes,
            checkpoint: undefined,
          },
          lastSeenWallMs: this.clock.wallMs(),
          alive: !this.isDown(node),
        };
      },
    };
  }
}

export interface DepotClusterOptions {
  readonly nodes: number;
  /** Whether nodes look after their replicas. */
  readonly reconciling: boolean;
  readonly limits?: { readonly maxFileBytes: number };
  readonly repair?: { readonly maxMiBPerSecond: number };
}

export async function* chunksOf(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

export function someBytes(sizeBytes: number): Buffer {
  return randomBytes(sizeBytes);
}

export function nodeId(text: string): NodeId {
  const id = parseNodeId(text);
  assert.ok(id, `no node id: ${text}`);
  return id;
}

function member(id: NodeId, at: number): MemberFacts {
  return {
    id,
    incarnation: newIncarnation(),
    role: "voter",
    zone: `z${at}`,
    api: { host: "127.0.0.1", port: 4001 + at },
    peer: { host: "127.0.0.1", port: 4101 + at },
  };
}
