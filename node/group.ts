import { repeatedly } from "./base/clock.ts";
import type { MemberFacts } from "./catalog/types.ts";
import { GossipTable } from "./replication/gossip.ts";
import type { MemberDirectory } from "./replication/member-directory.ts";
import { MembershipSupervisor } from "./replication/membership-supervisor.ts";
import { openReplicatedCatalog, type ReplicatedCatalog } from "./replication/replicated-catalog.ts";
import { RosterWatch } from "./replication/roster-watch.ts";
import type { AcceptingPeerStreams } from "./transport/peer-streams.ts";
import type { NodeStatus, PeerClient } from "./transport/types.ts";
import type { LocalDisk, WholeStores, Workshop } from "./workshop.ts";

const statusEveryMs = 1000;
const maxQueuedFrameBytes = 64 << 20;

/** This node among the others. */
export interface Group {
  readonly replicated: ReplicatedCatalog;
  readonly gossip: GossipTable;
  readonly streams: AcceptingPeerStreams;
}

/** Opens the replicated catalog and the streams to the peers; `self` is what this node says of itself to others. */
export async function joinGroup(
  shop: Workshop,
  parts: {
    readonly boots: number;
    readonly self: MemberFacts;
    readonly stores: WholeStores;
    readonly members: MemberDirectory;
    readonly peers: PeerClient;
    readonly disk: LocalDisk;
  },
): Promise<Group> {
  const { own, config, logger, metrics, batching, surroundings, late, resources, fatal } = shop;
  const { clock, chance, network, tuning, witness } = surroundings;
  const { boots, self, stores, members, peers, disk } = parts;
  const replicated = await openReplicatedCatalog({
    self: own.id,
    incarnation: self.incarnation,
    boots,
    stores,
    send: (to, frame) => streams.send(to, frame),
    peers,
    heard: (node) => gossip.of(node),
    settings: config.raft,
    clock,
    chance,
    logger,
    metrics,
    batching,
    tuning,
    witness,
    onFatal: fatal,
  });
  const gossip = new GossipTable({
    self: own.id,
    clock,
    isConnected: (node) => streams.isConnected(node),
    ownStatus: () => ownStatus(shop, replicated, disk),
  });
  const streams = network.peerStreams({
    directory: members,
    secret: config.secret,
    clock,
    random: chance.random,
    logger,
    metrics,
    maxQueuedBytes: maxQueuedFrameBytes,
    events: {
      frame: (from, frame) => {
        if (frame.type === "status") {
          gossip.heardFrom(from, frame.status);
          replicated.compareCheckpoint(from, frame.status.checkpoint);
        } else {
          gossip.heardFrom(from);
          replicated.receive(from, frame);
        }
      },
      connected: (peer) => {
        streams.send(peer, { type: "status", status: ownStatus(shop, replicated, disk) });
        replicated.peerConnected(peer);
      },
      disconnected: (peer) => logger.info({ peer }, "connection to peer lost"),
      refused: (peer) => replicated.peerRefused(peer),
    },
  });
  resources.defer(() => streams.close());
  late.replicated = replicated;
  const rosters = new RosterWatch({
    self,
    own: () => replicated.roster(),
    hasLeader: () => replicated.raft().leader !== undefined,
    addresses: () => members.addresses(),
    hello: (address) => peers.hello(address),
    clock,
    logger,
    onFatal: fatal,
  });
  late.members = () => rosters.members();
  late.hello = () => ({ self, roster: replicated.roster() });
  const supervisor = new MembershipSupervisor({
    self: own.id,
    group: replicated,
    heard: (node) => gossip.of(node),
    clock,
    logger,
    onFatal: fatal,
  });
  // Together: what the supervisor waits for, the replicated catalog gives up.
  resources.defer(async () => {
    await Promise.all([supervisor.stop(), replicated.stop()]);
  });
  resources.defer(() => rosters.stop());
  supervisor.start();
  rosters.start();
  resources.defer(
    repeatedly(clock, statusEveryMs, () => {
      const status = ownStatus(shop, replicated, disk);
      for (const { id } of members.peers()) streams.send(id, { type: "status", status });
    }),
  );
  return { replicated, gossip, streams };
}

/** What this node tells of itself, now. */
function ownStatus({ own, config }: Workshop, replicated: ReplicatedCatalog, disk: LocalDisk): NodeStatus {
  const { term, last, applied, lostPromises } = replicated.raft();
  const freeBytes = disk.freeBytes();
  return {
    node: own.id,
    api: own.api,
    term,
    match: last.index,
    applied,
    lostPromises,
    ...disk.blobs.usage(),
    freeBytes,
    takesBytes: freeBytes >= config.limits.minFreeBytes && !replicated.isInstalling,
    checkpoint: replicated.checkpoints.latest,
  };
}
