import type { BackupId, BlobId, ClusterId, Incarnation, LogIndex, NodeId, Staged, Term } from "../base/ids.ts";
import type { Address, BlobFacts, MemberFacts, MemberState } from "../catalog/types.ts";
import type { RaftMessage } from "../raft/types.ts";

/** What a node tells of itself to every peer, about once a second. */
export interface NodeStatus {
  readonly node: NodeId;
  readonly api: Address;
  readonly term: Term;
  /** The last index synced in its log. */
  readonly match: LogIndex;
  readonly applied: LogIndex;
  /** Its log lost entries that it had promised to keep: it does not vote before peers have refilled it. */
  readonly lostPromises: boolean;
  readonly files: number;
  readonly bytes: number;
  readonly freeBytes: number;
  /** False below `minFreeBytes`, or while its catalog is being installed. */
  readonly takesBytes: boolean;
  /** The catalog digest at a checkpoint, to be compared at equal indexes; hexadecimal. */
  readonly checkpoint: { readonly index: LogIndex; readonly digest: string } | undefined;
}

/** One-way frames of the long-lived stream between two nodes. Any of them may be lost. */
export type PeerFrame =
  | { readonly type: "raft"; readonly message: RaftMessage }
  /** Encoded proposals for the leader to append; the door waits for its own apply, and sends them again if it must. */
  | { readonly type: "proposals"; readonly proposals: readonly Uint8Array[] }
  | { readonly type: "status"; readonly status: NodeStatus };

/** Who the other nodes are and where; asked anew for each connection, so that changes take effect. */
export interface PeerDirectory {
  readonly self: {
    readonly nodeId: NodeId;
    readonly incarnation: Incarnation;
    readonly clusterId: ClusterId | undefined;
  };
  peers(): readonly { readonly id: NodeId; readonly address: Address }[];
  /** Whether `incarnation` is the life of `nodeId` that this node knows as a member; a stranger or an older life is not. */
  admits(nodeId: NodeId, incarnation: Incarnation): boolean;
}

/** The long-lived streams, one to each peer, connected and reconnected by themselves. */
export interface PeerStreams {
  /** Queues the frame for the peer; false when there is no connection or its queue is full, and the frame is dropped. */
  send(to: NodeId, frame: PeerFrame): boolean;
  isConnected(to: NodeId): boolean;
  close(): Promise<void>;
}

/** What happens on the streams, given when they are created. */
export interface PeerStreamEvents {
  frame(from: NodeId, frame: PeerFrame): void;
  connected(peer: NodeId): void;
  /** The connection broke; a new one is being tried. */
  disconnected(peer: NodeId): void;
  /** A connection was refused by the peer's host: no process listens there. */
  refused(peer: NodeId): void;
}

/** How one node introduces itself to who is not, or may not be, a member of its group. */
export interface Hello {
  /** This node as it describes itself, from its own configuration and data directory. */
  readonly self: MemberFacts;
  /** The group as this node knows it; undefined while it belongs to none. */
  readonly roster: Roster | undefined;
  /** The backup that the catalog of a node without a group came from. */
  readonly restored?: BackupId | undefined;
}

/** Who belongs to a group. */
export interface Roster {
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  /** As of this entry: of two rosters of one group the one with the higher index is the newer. */
  readonly applied: LogIndex;
  readonly members: readonly (MemberFacts & { readonly state: MemberState })[];
}

/** Bytes of one blob on their way to one node's disk, the own or a peer's. Calls are sequential, each awaited. */
export interface BlobSink {
  readonly node: NodeId;
  /** Resolves when the next chunk may be given: this is the back-pressure. */
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves once the copy is durable there. @throws {DepositoError} `peer-unreachable`, `digest-mismatch`, `not-enough-space`. */
  commit(facts: BlobFacts): Promise<Staged>;
  /** Gives up; nothing is kept there. May be called at any time, also twice. */
  abort(): Promise<void>;
}

/** Calls to one peer, over HTTP on its peer port. Every call has a deadline for progress and fails with a code. */
export interface PeerClient {
  hello(address: Address): Promise<Hello>;
  /** Stores one small blob there; calls that wait together travel in one request. */
  storeSmall(to: NodeId, facts: BlobFacts, bytes: Uint8Array): Promise<Staged>;
  openSink(to: NodeId, blobId: BlobId): Promise<BlobSink>;
  /** Verified bytes `[start, end)` of a blob there. @throws `blob-not-found`, `blob-damaged`, `peer-unreachable`, at once or in the middle. */
  readBlob(
    from: NodeId,
    blobId: BlobId,
    range: { readonly start: number; readonly end: number },
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>>;
  /** Asks `on` to copy the blob from `from`; resolves once it is durable there. */
  askToPull(on: NodeId, from: NodeId, facts: BlobFacts): Promise<Staged>;
  /** Asks to remove blobs that no command can name any more. */
  discard(on: NodeId, blobIds: readonly BlobId[]): Promise<void>;
  /** The next chunk of a catalog snapshot. Resumable: `session` and `after` of the chunk before; both undefined to begin. */
  snapshotChunk(from: NodeId, at: SnapshotCursor | undefined): Promise<SnapshotChunk>;
  close(): Promise<void>;
}

/** Where a snapshot transfer stands. A server that forgot the session answers with a new session, from the start. */
export interface SnapshotCursor {
  readonly session: string;
  /** The last key received. */
  readonly after: Uint8Array;
}

export interface SnapshotChunk {
  readonly session: string;
  /** What the source had applied when the session began: the same in every chunk. */
  readonly applied: LogIndex;
  /** In key order, as they lie in the catalog, its meta row included. Already checked against the chunk's checksum. */
  readonly rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[];
  readonly last: boolean;
}

/** Where a node's snapshot chunks come from: frozen views of its catalog, one per session. */
export interface SnapshotSource {
  /**
   * The chunk after `at` for `peer`, or the first one. A session it does not know is answered with a new one, from the
   * start. A peer has one session: with a new one, its former one ends.
   * @throws {DepositoError} `node-busy` while too many others are being served.
   */
  chunk(peer: NodeId, at: SnapshotCursor | undefined): Promise<SnapshotChunk>;
}
