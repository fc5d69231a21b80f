import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../../../node/base/clock.ts";
import { DepositoError } from "../../../node/base/errors.ts";
import {
  type BlobId,
  type ClusterId,
  type Incarnation,
  logIndex,
  type NodeId,
  newBlobId,
  newIncarnation,
  parseClusterId,
  parseNodeId,
  parseSha256,
} from "../../../node/base/ids.ts";
import { silentLogger } from "../../../node/base/logger.ts";
import type { Address, BlobFacts, MemberFacts } from "../../../node/catalog/types.ts";
import type { LocalHolder, LostReplica } from "../../../node/depot/types.ts";
import type { PeerServices } from "../../../node/peer-api/context.ts";
import { createPeerServer } from "../../../node/peer-api/server.ts";
import { HttpPeerClient, type PeerDeadlines } from "../../../node/transport/peer-client.ts";
import { type AcceptingPeerStreams, createPeerStreams } from "../../../node/transport/peer-streams.ts";
import type { PeerDirectory, PeerFrame, PeerStreamEvents, SnapshotSource } from "../../../node/transport/types.ts";
import { MemoryHolder } from "./memory-holder.ts";

export const groupId: ClusterId = ok(parseClusterId("11111111-2222-3333-4444-555555555555"));
export const secret = "the secret of this group";

/** The value, which must be there. */
export function ok<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("no value");
  return value;
}

export function nodeId(text: string): NodeId {
  return ok(parseNodeId(text));
}

export function factsOf(bytes: Uint8Array, blobId: BlobId = newBlobId()): BlobFacts {
  const sha256 = ok(parseSha256(createHash("sha256").update(bytes).digest("hex")));
  return { blobId, sizeBytes: bytes.length, sha256 };
}

/** A group as every node in a test sees it: who belongs to it, and where each listens. */
export class Group {
  readonly clusterId: ClusterId | undefined = groupId;
  readonly members = new Map<NodeId, { incarnation: Incarnation; address: Address }>();

  add(name: string): NodeId {
    const id = nodeId(name);
    this.members.set(id, { incarnation: newIncarnation(), address: { host: "127.0.0.1", port: 9 } });
    return id;
  }

  /** The group as `self` sees it; `changes` make it see itself otherwise. */
  directory(self: NodeId, changes: Partial<PeerDirectory["self"]> = {}): PeerDirectory {
    const own = { nodeId: self, incarnation: ok(this.members.get(self)).incarnation, clusterId: this.clusterId };
    return {
      self: { ...own, ...changes },
      peers: () => [...this.members].filter(([id]) => id !== self).map(([id, { address }]) => ({ id, address })),
      admits: (node, incarnation) => this.members.get(node)?.incarnation === incarnation,
    };
  }

  record(id: NodeId): MemberFacts {
    const { incarnation, address } = ok(this.members.get(id));
    return { id, incarnation, role: "voter", zone: "a", api: address, peer: address };
  }
}

export interface TestNode {
  readonly id: NodeId;
  readonly server: Server;
  readonly holder: MemoryHolder;
  readonly streams: AcceptingPeerStreams;
  readonly events: RecordedEvents;
  readonly lost: readonly LostReplica[];
  readonly fatal: readonly unknown[];
  client(options?: ClientOptions): HttpPeerClient;
  close(): Promise<void>;
}

interface ClientOptions {
  readonly batching?: boolean;
  readonly deadlines?: Partial<PeerDeadlines>;
  readonly directory?: PeerDirectory;
  readonly secret?: string;
}

export interface NodeChanges {
  readonly holder?: LocalHolder;
  readonly snapshots?: SnapshotSource;
  readonly services?: () => PeerServices | undefined;
  readonly notServing?: () => DepositoError;
  readonly maxQueuedBytes?: number;
  readonly secret?: string;
  readonly directory?: PeerDirectory;
}

const noSnapshots: SnapshotSource = {
  chunk: async () => ({ session: "00".repeat(16), applied: logIndex(0), rows: [], last: true }),
};

/** Starts one node of the group: its peer port, and its streams to the others. */
export async function startNode(group: Group, id: NodeId, changes: NodeChanges = {}): Promise<TestNode> {
  const directory = changes.directory ?? group.directory(id);
  const holder = new MemoryHolder(id);
  const events = new RecordedEvents();
  const lost: LostReplica[] = [];
  const fatal: unknown[] = [];
  const nodeSecret = changes.secret ?? secret;
  const streams = createPeerStreams({
    directory,
    secret: nodeSecret,
    events,
    clock: systemClock,
    random: () => 0.5,
    logger: silentLogger,
    metrics: undefined,
    maxQueuedBytes: changes.maxQueuedBytes ?? 4 * 1024 * 1024,
  });
  const services: PeerServices = {
    holder: changes.holder ?? holder,
    snapshots: changes.snapshots ?? noSnapshots,
    streams,
    reportLost: (replica) => lost.push(replica),
  };
  const server = createPeerServer({
    directory,
    secret: nodeSecret,
    hello: () => ({ self: group.record(id), roster: undefined }),
    services: changes.services ?? (() => services),
    notServing: changes.notServing ?? (() => new DepositoError("no-quorum", "this node is still starting")),
    clock: systemClock,
    logger: silentLogger,
    maxSmallBatchBytes: 8 * 1024 * 1024,
    fatal: (error) => fatal.push(error),
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ok(group.members.get(id)).address = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  const clients: HttpPeerClient[] = [];
  return {
    id,
    server,
    holder,
    streams,
    events,
    lost,
    fatal,
    client(options = {}) {
      const client = new HttpPeerClient(
        {
          directory: options.directory ?? directory,
          secret: options.secret ?? nodeSecret,
          clock: systemClock,
          batching: options.batching ?? true,
          maxSmallBatchBytes: 8 * 1024 * 1024,
        },
        { connectMs: 2_000, openMs: 3_000, progressMs: 10_000, commitMs: 60_000, ...options.deadlines },
      );
      clients.push(client);
      return client;
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()));
      await streams.close();
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type RecordedEvent =
  | { readonly type: "frame"; readonly from: NodeId; readonly frame: PeerFrame }
  | { readonly type: "connected" | "disconnected" | "refused"; readonly peer: NodeId };

/** Everything that happened on a node's streams, to be awaited. */
export class RecordedEvents implements PeerStreamEvents {
  readonly all: RecordedEvent[] = [];
  #onEvent: (() => void)[] = [];

  frame(from: NodeId, frame: PeerFrame): void {
    this.#add({ type: "frame", from, frame });
  }
  connected(peer: NodeId): void {
    this.#add({ type: "connected", peer });
  }
  disconnected(peer: NodeId): void {
    this.#add({ type: "disconnected", peer });
  }
  refused(peer: NodeId): void {
    this.#add({ type: "refused", peer });
  }

  count(type: RecordedEvent["type"]): number {
    return this.all.filter((event) => event.type === type).length;
  }

  /** Resolves once `count` events of `type` have happened since the start. */
  async until(type: RecordedEvent["type"], count = 1): Promise<void> {
    while (this.count(type) < count) await new Promise<void>((resolve) => this.#onEvent.push(resolve));
  }

  #add(event: RecordedEvent): void {
    this.all.push(event);
    const waiting = this.#onEvent;
    this.#onEvent = [];
    for (const resolve of waiting) resolve();
  }
}
