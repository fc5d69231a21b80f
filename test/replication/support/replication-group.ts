import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { systemChance } from "../../../node/base/chance.ts";
import { systemClock } from "../../../node/base/clock.ts";
import { DepositoError, hasCode } from "../../../node/base/errors.ts";
import type { NodeId } from "../../../node/base/ids.ts";
import { silentLogger } from "../../../node/base/logger.ts";
import { createMetrics } from "../../../node/base/metrics.ts";
import type { RaftSettings } from "../../../node/base/settings.ts";
import type { Founding, MemberFacts, Write } from "../../../node/catalog/types.ts";
import { MembershipSupervisor } from "../../../node/replication/membership-supervisor.ts";
import { openReplicatedCatalog, type ReplicatedCatalog } from "../../../node/replication/replicated-catalog.ts";
import { defaultTuning, type ReplicationTuning } from "../../../node/replication/replication-options.ts";
import { pullSnapshot } from "../../../node/replication/snapshot-install.ts";
import { catalogReachesLog } from "../../../node/replication/start-state.ts";
import type { Gossip } from "../../../node/replication/types.ts";
import type { CatalogStore, DataDirectory, NodeIdentity, OpenedStores } from "../../../node/storage/types.ts";
import type { PeerFrame, SnapshotChunk, SnapshotCursor } from "../../../node/transport/types.ts";
import { groupOf, member, openBlankDirectory, openNodeDirectory, temporaryFolder } from "./node-disk.ts";

/** One running node: its disk and its replicated catalog. */
export interface RunningNode {
  readonly id: NodeId;
  readonly directory: DataDirectory;
  readonly stores: OpenedStores & { readonly catalog: CatalogStore };
  readonly replicated: ReplicatedCatalog;
  readonly supervisor: MembershipSupervisor;
  readonly metrics: ReturnType<typeof createMetrics>;
  /** What was reported as fatal, and the first of it as a promise. */
  readonly fatal: unknown[];
  readonly died: Promise<unknown>;
}

const hasty: RaftSettings = { heartbeatMs: 30, electionTimeoutMs: 300 };
/** For groups that keep all of one busy process to themselves, and shall keep their leader all the same. */
export const patient: RaftSettings = { heartbeatMs: 100, electionTimeoutMs: 3000 };
const patienceMs = 20_000;

/** Nodes with real disks and the production replication in one process; only the wire between them is the test's. */
export class ReplicationGroup {
  readonly founding: Founding;
  readonly #folder: string;
  readonly #settings: RaftSettings;
  readonly #tuning: ReplicationTuning;
  readonly #running = new Map<NodeId, RunningNode>();
  readonly #cut = new Set<NodeId>();
  /** What becomes of a frame on its way: how often it arrives, each time after how many milliseconds. */
  onWire: (from: NodeId, to: NodeId, frame: PeerFrame) => readonly number[] = () => [0];
  /** What arrives in place of a frame. */
  onArrival: (to: NodeId, frame: PeerFrame) => PeerFrame = (_to, frame) => frame;
  /** Called before each chunk of a snapshot leaves its source. */
  onChunk: (from: NodeId, at: SnapshotCursor | undefined) => void | Promise<void> = () => undefined;

  /** Called right before a pulled catalog takes the place of the former. */
  onSwitch: (node: NodeId) => void = () => undefined;

  static async start(
    scope: { after(end: () => Promise<void> | void): void },
    count: number,
    tuning: Partial<ReplicationTuning> = {},
    settings: RaftSettings = hasty,
  ): Promise<ReplicationGroup> {
    const group = new ReplicationGroup(temporaryFolder(scope), count, settings, {
      ...defaultTuning,
      syncEveryEntries: 64,
      keepEntries: 64,
      maxHeldEntries: 1 << 20,
      maxHeldBytes: 1 << 30,
      maxHeldMs: 60_000,
      checkpointEntries: 16,
      quorumTimeoutMs: 5000,
      ...tuning,
    });
    // The timers of production do not keep a process alive.
    const awake = setInterval(() => undefined, 1000);
    scope.after(async () => {
      for (const { id } of group.nodes) await group.stop(id);
      clearInterval(awake);
    });
    for (const { id } of group.founding.members) await group.startNode(id);
    return group;
  }

  private constructor(folder: string, count: number, settings: RaftSettings, tuning: ReplicationTuning) {
    this.#folder = folder;
    this.#settings = settings;
    this.#tuning = tuning;
    this.founding = groupOf(...Array.from({ length: count }, (_, at) => `n${at + 1}`));
  }

  /** Whether a node that lives has room. */
  fits: (node: NodeId) => boolean = () => true;

  /** Whether nodes hear of each other. */
  acquainted = true;

  get ids(): readonly NodeId[] {
    return this.founding.members.map(({ id }) => id);
  }

  get nodes(): readonly RunningNode[] {
    return [...this.#running.values()];
  }

  node(id: NodeId): RunningNode {
    const node = this.#running.get(id);
    assert.ok(node, `${id} is not running`);
    return node;
  }

  /** The data directory of a node, to be damaged while it is stopped. */
  folderOf(id: NodeId): string {
    return join(this.#folder, id);
  }

  /** Starts a founder, or a node that was added before. */
  async startNode(id: NodeId): Promise<RunningNode> {
    return this.#run(await openNodeDirectory(this.folderOf(id), this.founding, id));
  }

  /** Starts a blank node that `door` adds to the group first; what stood in its directory before is gone. */
  async addNode(door: RunningNode, name: string, role: MemberFacts["role"] = "voter"): Promise<RunningNode> {
    const facts = { ...member(name), role };
    rmSync(this.folderOf(facts.id), { recursive: true, force: true });
    const directory = await openBlankDirectory(this.folderOf(facts.id), facts);
    const outcome = await door.replicated.propose({ type: "add-member", member: facts });
    assert.deepEqual(outcome, { type: "done" });
    await directory.join(this.founding.clusterId);
    return this.#run(directory);
  }

  /** As the composition root does it: a catalog that is not there or too old comes from a peer first. */
  async #run(directory: DataDirectory): Promise<RunningNode> {
    const opened = await directory.open();
    const { identity } = directory;
    assert.ok(identity, "the directory is claimed");
    const { nodeId: id, incarnation } = identity;
    const self = { id, incarnation };
    const installCatalog = async () => {
      const installer = await opened.installCatalog();
      const complete = async () => {
        this.onSwitch(id);
        return installer.complete();
      };
      const write = (writes: readonly Write[]) => installer.write(writes);
      return { write, complete, cancel: () => installer.cancel() };
    };
    const peers = { snapshotChunk: (from: NodeId, at: SnapshotCursor | undefined) => this.#chunk(id, from, at) };
    let catalog = opened.catalog;
    if (catalog === undefined || !catalogReachesLog(catalog, opened.log)) {
      const pulled = await pullSnapshot({
        self,
        peers,
        sources: () => this.nodes.map((node) => node.id),
        begin: installCatalog,
        atLeast: () => opened.log.recovered.base.index,
        clock: systemClock,
        logger: silentLogger,
        signal: new AbortController().signal,
      });
      catalog = await pulled.complete();
    }
    const stores = { log: opened.log, catalog, installCatalog, condemnCatalog: () => opened.condemnCatalog() };
    const fatal: unknown[] = [];
    const died = Promise.withResolvers<unknown>();
    const metrics = createMetrics();
    const onFatal = (error: unknown) => {
      fatal.push(error);
      died.resolve(error);
    };
    const heard = (node: NodeId) => this.#heard(id, node);
    const replicated = await openReplicatedCatalog({
      self: id,
      incarnation,
      boots: directory.boots,
      stores,
      send: (to, frame) => this.#send(id, to, frame),
      peers,
      heard,
      settings: this.#settings,
      clock: systemClock,
      chance: systemChance,
      logger: silentLogger,
      metrics,
      batching: true,
      tuning: this.#tuning,
      onFatal,
    });
    const supervisor = new MembershipSupervisor({
      self: id,
      group: replicated,
      heard,
      clock: systemClock,
      logger: silentLogger,
      onFatal,
    });
    const node = { id, directory, stores, replicated, supervisor, metrics, fatal, died: died.promise };
    this.#running.set(id, node);
    replicated.start();
    supervisor.start();
    for (const each of this.nodes) if (each.id !== id) each.replicated.peerConnected(id);
    return node;
  }

  async stop(id: NodeId): Promise<void> {
    const { replicated, supervisor, directory } = this.node(id);
    this.#running.delete(id);
    await Promise.all([supervisor.stop(), replicated.stop()]);
    await directory.close();
  }

  /** Nothing reaches the node, and nothing leaves it. */
  cut(id: NodeId): void {
    this.#cut.add(id);
  }
  mend(id: NodeId): void {
    this.#cut.delete(id);
  }

  /** Resolves when one node leads and is followed by all that run and are not cut off; which one. */
  async leader(): Promise<RunningNode> {
    let found: RunningNode | undefined;
    await this.until("a leader is known to all", () => {
      const reachable = this.nodes.filter(({ id }) => !this.#cut.has(id));
      const leaders = new Set(reachable.map(({ replicated }) => replicated.raft().leader));
      const [leader] = leaders;
      found = reachable.find(({ id, replicated }) => id === leader && replicated.raft().role === "leader");
      return leaders.size === 1 && found !== undefined;
    });
    return found as RunningNode;
  }

  /** Resolves when all nodes that run have applied what `id` has. */
  async caughtUp(id: NodeId): Promise<void> {
    const { applied } = this.node(id).replicated;
    await this.until(`all have applied ${applied}`, () =>
      this.nodes.every(({ replicated }) => replicated.applied >= applied),
    );
  }

  async until(what: string, isTrue: () => boolean): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    while (!isTrue()) {
      const status = this.nodes.map(({ id, replicated, fatal }) => [id, replicated.raft(), fatal]);
      if (performance.now() > deadlineMs) assert.fail(`never happened: ${what} ${JSON.stringify(status)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #send(from: NodeId, to: NodeId, frame: PeerFrame): void {
    const sender = this.#running.get(from)?.directory.identity;
    for (const delayMs of this.onWire(from, to, frame)) {
      const deliver = () => {
        if (frame.type === "status" || this.#cut.has(from) || this.#cut.has(to)) return;
        const arriving = this.onArrival(to, frame);
        if (arriving.type === "status" || !this.#admits(to, sender)) return;
        this.#running.get(to)?.replicated.receive(from, arriving);
      };
      if (delayMs === 0) setImmediate(deliver);
      else setTimeout(deliver, delayMs);
    }
  }

  /** A node hears the members it knows, in the lives it knows of them. */
  #admits(by: NodeId, sender: NodeIdentity | undefined): boolean {
    const members = this.#running.get(by)?.replicated.members() ?? [];
    return members.some(({ id, incarnation }) => id === sender?.nodeId && incarnation === sender.incarnation);
  }

  /** What gossip would tell, without its delay. */
  #heard(by: NodeId, node: NodeId): ReturnType<Gossip["of"]> {
    const replicated = this.#running.get(node)?.replicated;
    if (replicated === undefined) return undefined;
    const { term, last, applied, lostPromises } = replicated.raft();
    const address = { host: "127.0.0.1", port: 1 };
    const usage = { files: 0, bytes: 0, freeBytes: 2, takesBytes: this.fits(node), lostPromises };
    const status = { node, api: address, term, match: last.index, applied, ...usage, checkpoint: undefined };
    const isConnected = this.acquainted && !this.#cut.has(node) && !this.#cut.has(by);
    return { status, lastSeenWallMs: 0, alive: node === by || isConnected };
  }

  async #chunk(to: NodeId, from: NodeId, at: SnapshotCursor | undefined): Promise<SnapshotChunk> {
    await this.onChunk(from, at);
    const source = this.#running.get(from);
    if (source === undefined || this.#cut.has(from) || this.#cut.has(to))
      throw new DepositoError("peer-unreachable", `${from} does not answer`);
    try {
      return await source.replicated.snapshots.chunk(to, at);
    } catch (error) {
      throw hasCode(error, "node-busy") ? new DepositoError("peer-refused", error.message) : error;
    }
  }
}
