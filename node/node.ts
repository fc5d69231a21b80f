/**
 * The composition root: one node, from a locked data directory to an answering API, and back.
 *
 *   data directory ─► blobs, holder ─► peer port ─► founding ─► log, catalog ─► replication ─► depot ─► API port
 *
 * Everything is released in the opposite order.
 */
import { defaultApiLimits } from "./api/context.ts";
import { DepositoError, hasCode } from "./base/errors.ts";
import { newIncarnation } from "./base/ids.ts";
import { invariant } from "./base/invariant.ts";
import { createMetrics } from "./base/metrics.ts";
import { foundingWrites, readMeta, restoredWrites } from "./catalog/apply.ts";
import type { MemberFacts } from "./catalog/types.ts";
import { createDepot } from "./depot/depot.ts";
import { FreeSpace } from "./depot/free-space.ts";
import { BlobHolder } from "./depot/local-holder.ts";
import { type Group, joinGroup } from "./group.ts";
import { BackupSource } from "./replication/backup-source.ts";
import { FirstCatalog } from "./replication/first-catalog.ts";
import { agreeOnFounding } from "./replication/founding.ts";
import { MemberDirectory } from "./replication/member-directory.ts";
import { catalogReachesLog } from "./replication/start-state.ts";
import { openFileBlobStore } from "./storage/blobs/file-blob-store.ts";
import { openDataDirectory } from "./storage/data-directory.ts";
import type { DataDirectory, NodeIdentity } from "./storage/types.ts";
import type { PeerClient } from "./transport/types.ts";
import type { LateParts, LocalDisk, NodeOptions, WholeStores, Workshop } from "./workshop.ts";

const handOverMs = 2000;
const finishRequestsMs = 10_000;
const maxSmallBatchBytes = 8 << 20;

/** Runs one node until `stop`, anew whenever its catalog must come from its peers. @throws {DepositoError} why it cannot run. */
export async function runUntilStopped(options: NodeOptions): Promise<void> {
  const { stop, logger } = options;
  while (!stop.aborted) {
    try {
      await runNode(options);
    } catch (error) {
      if (stop.aborted && hasCode(error, "no-quorum")) return;
      if (!hasCode(error, "catalog-damaged")) throw error;
      logger.error({ error: error.message }, "the catalog is damaged: installing it anew from the peers");
    }
  }
}

/**
 * Runs one node until `stop`.
 * @throws {DepositoError} `catalog-damaged`: it must be run again, and will install its catalog from the peers;
 *   `not-a-member`: it was removed from the group; others: why it cannot run.
 */
async function runNode(options: NodeOptions): Promise<void> {
  const own = options.config.nodes.find(({ id }) => id === options.nodeId);
  invariant(own !== undefined, () => `no node ${options.nodeId} in the configuration`);
  await using resources = new AsyncDisposableStack();
  const ended = Promise.withResolvers<never>();
  // It is waited for only once the node serves; what is found on the way there is not unheard.
  ended.promise.catch(() => undefined);
  const fatal = (error: unknown): void => {
    if (hasCode(error, "catalog-damaged") || hasCode(error, "not-a-member")) ended.reject(error);
    else options.die(error);
  };
  const late: LateParts = {
    waitsFor: undefined,
    hello: undefined,
    replicated: undefined,
    members: undefined,
    services: undefined,
    firstCatalog: undefined,
    isDamaged: false,
  };
  const shop: Workshop = { ...options, own, metrics: createMetrics(), late, resources, fatal };

  const directory = await openDirectory(shop);
  // The door opens last; whoever looks at it before, or finds its port taken, shall hear of it now.
  const closeWaitingRoom = await openWaitingRoom(shop);
  const members = memberDirectory(shop, directory);
  const peers = peerClient(shop, members);
  await openPeerPort(shop, members);
  if (directory.identity?.clusterId === undefined) await begin(shop, directory, peers);
  const stores = await openStores(shop, directory, members, peers);
  try {
    const disk = await openLocalDisk(shop, directory, peers);
    const self = selfOf(shop, directory);
    const group = await joinGroup(shop, { boots: directory.boots, self, stores, members, peers, disk });
    await closeWaitingRoom(finishRequestsMs);
    await openDoor(shop, directory, peers, disk, group);
    options.logger.info({ cluster: group.replicated.clusterName, boots: directory.boots }, "serving");
    await Promise.race([aborted(options.stop), ended.promise]);
  } catch (error) {
    if (!hasCode(error, "catalog-damaged")) throw error;
    late.isDamaged = true;
    await stores.condemnCatalog();
    await late.replicated?.handOver(handOverMs);
    throw error;
  }
  await late.replicated?.handOver(handOverMs);
}

/** The result closes it; it is closed in any case when the node ends. */
async function openWaitingRoom(shop: Workshop): Promise<(withinMs: number) => Promise<void>> {
  const { own, metrics, logger, surroundings, late, fatal, resources } = shop;
  const close = await surroundings.network.openWaitingRoom(own.api, {
    self: own.id,
    metrics,
    logger,
    clock: surroundings.clock,
    limits: defaultApiLimits,
    onFatal: fatal,
    reasons: () => late.firstCatalog?.reasons ?? [late.waitsFor ?? "the node is starting"],
  });
  resources.defer(() => close(0));
  return close;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function openDirectory({ own, logger, surroundings, resources }: Workshop): Promise<DataDirectory> {
  const directory = await openDataDirectory({
    path: own.dataDir,
    nodeId: own.id,
    disk: surroundings.disk,
    logger,
    appliedOf: (catalog) => readMeta(catalog).applied,
  });
  resources.defer(() => directory.close());
  // The incarnation is durable before any peer hears of it.
  if (directory.identity === undefined) await directory.claim(newIncarnation(surroundings.chance));
  return directory;
}

function memberDirectory({ config, late }: Workshop, directory: DataDirectory): MemberDirectory {
  return new MemberDirectory({
    self: () => identityOf(directory),
    configured: config.nodes,
    members: () => late.members?.(),
  });
}

function identityOf({ identity, path }: DataDirectory): NodeIdentity {
  invariant(identity !== undefined, () => `${path} has no identity`);
  return identity;
}

function peerClient(shop: Workshop, directory: MemberDirectory): PeerClient {
  const { config, batching, surroundings, resources } = shop;
  const { clock, network } = surroundings;
  const peers = network.peerClient({ directory, secret: config.secret, clock, batching, maxSmallBatchBytes });
  resources.defer(() => peers.close());
  return peers;
}

async function openPeerPort(shop: Workshop, directory: MemberDirectory): Promise<void> {
  const { config, own, logger, surroundings, late, fatal, resources } = shop;
  const { clock, network } = surroundings;
  const close = await network.openPeerPort(own.peer, {
    directory,
    secret: config.secret,
    hello: () => {
      if (late.hello !== undefined) return late.hello();
      throw new DepositoError("peer-refused", "this node is starting");
    },
    services: () => late.services,
    notServing: () =>
      late.firstCatalog === undefined
        ? new DepositoError("no-quorum", "this node is still starting")
        : new DepositoError("no-catalog", "this node has no usable catalog itself"),
    clock,
    logger,
    maxSmallBatchBytes,
    fatal,
  });
  resources.defer(() => close(0));
}

/** Binds a directory that belongs to no group yet to one: founds it with the others, or joins it. */
async function begin(shop: Workshop, directory: DataDirectory, peers: PeerClient): Promise<void> {
  const { config, own, logger, surroundings, late, stop } = shop;
  const beginning = await agreeOnFounding({
    clusterName: config.cluster,
    self: selfOf(shop, directory),
    restored: directory.restored,
    seeds: config.nodes,
    hello: (address) => peers.hello(address),
    introduce: (hello) => {
      late.hello = () => hello;
    },
    onWaiting: (reason) => {
      late.waitsFor = reason;
    },
    clock: surroundings.clock,
    logger,
    signal: stop,
  });
  late.waitsFor = undefined;
  if (beginning.type === "join") {
    const { clusterId } = beginning.roster;
    await directory.join(clusterId);
    logger.info({ cluster: clusterId, node: own.id }, "joining the group");
    return;
  }
  const { founding } = beginning;
  const { writes, meta } = foundingWrites(founding);
  if (directory.restored === undefined) await directory.found(founding, writes, meta.applied);
  else await directory.foundRestored(founding, (backup) => restoredWrites(backup, founding));
  logger.info(
    {
      cluster: founding.clusterId,
      members: founding.members.map(({ id }) => id),
      node: own.id,
      backup: directory.restored,
    },
    "group founded",
  );
}

function selfOf({ own }: Workshop, directory: DataDirectory): MemberFacts {
  const { id, role, zone, api, peer } = own;
  return { id, role, zone, api, peer, incarnation: identityOf(directory).incarnation };
}

/** The log, and a catalog for certain: the own one, or one from a peer where the own is damaged or too old for the log. */
async function openStores(
  shop: Workshop,
  directory: DataDirectory,
  members: MemberDirectory,
  peers: PeerClient,
): Promise<WholeStores> {
  const { logger, surroundings, late, stop } = shop;
  const stores = await directory.open();
  const { log } = stores;
  const installCatalog = () => stores.installCatalog();
  const condemnCatalog = () => stores.condemnCatalog();
  if (stores.catalog !== undefined && catalogReachesLog(stores.catalog, log))
    return { log, catalog: stores.catalog, installCatalog, condemnCatalog };
  logger.warn("no usable catalog: installing it from a peer before taking part");
  late.firstCatalog = new FirstCatalog({
    self: selfOf(shop, directory),
    peers,
    sources: () => members.peers().map(({ id }) => id),
    begin: installCatalog,
    atLeast: () => log.recovered.base.index,
    clock: surroundings.clock,
    logger,
    signal: stop,
  });
  const pulled = await late.firstCatalog.pull();
  const catalog = await pulled.complete();
  late.firstCatalog = undefined;
  return { log, catalog, installCatalog, condemnCatalog };
}

async function openLocalDisk(shop: Workshop, directory: DataDirectory, peers: PeerClient): Promise<LocalDisk> {
  const { own, config, logger, metrics, batching, surroundings, resources, fatal } = shop;
  const { path, boots } = directory;
  const blobs = await openFileBlobStore({ dataDir: path, boots, disk: surroundings.disk, logger, metrics, batching });
  resources.defer(() => blobs.close());
  const space = await FreeSpace.open({ path, disk: surroundings.disk, clock: surroundings.clock, logger });
  resources.defer(() => space.close());
  const freeBytes = () => space.bytes();
  const holder = new BlobHolder({
    self: own.id,
    blobs,
    peers,
    freeBytes,
    minFreeBytes: config.limits.minFreeBytes,
    logger,
    batching,
    onFatal: fatal,
  });
  resources.defer(() => holder.close());
  return { blobs, holder, freeBytes };
}

async function openDoor(
  shop: Workshop,
  directory: DataDirectory,
  peers: PeerClient,
  disk: LocalDisk,
  group: Group,
): Promise<void> {
  const { own, config, logger, metrics, surroundings, late, resources, fatal } = shop;
  const { clock, chance, network } = surroundings;
  const { replicated, gossip, streams } = group;
  const { holder } = disk;
  const depot = createDepot({
    self: own.id,
    replication: replicated,
    holder,
    peers,
    gossip,
    clock,
    chance,
    logger,
    defaultReplicas: config.defaultReplicas,
    limits: config.limits,
    repair: config.repair,
    freeBytes: disk.freeBytes,
    onReplicasCompared: directory.restored === undefined ? undefined : () => directory.replicasCompared(),
    onFatal: fatal,
  });
  const { snapshots } = replicated;
  const backups = new BackupSource({ store: () => replicated.catalog, barrier: () => replicated.barrier(), clock });
  late.services = { holder, snapshots, streams, reportLost: (lost) => depot.reportLost(lost) };
  // Together: the depot waits for its pulls under way, and the holder is who ends them.
  resources.defer(async () => {
    await Promise.all([holder.close(), depot.close()]);
  });
  const close = await network.openDoor(own.api, {
    depot,
    replication: replicated,
    backup: () => backups.read(),
    config,
    self: own.id,
    metrics,
    logger,
    clock,
    onFatal: fatal,
    limits: defaultApiLimits,
  });
  resources.defer(() => close(late.isDamaged ? 0 : finishRequestsMs));
  replicated.start();
  depot.start();
}
