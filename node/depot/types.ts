import type { BlobId, ClientId, NodeId, Sha256, Staged } from "../base/ids.ts";
import type { FileName } from "../catalog/names.ts";
import type {
  Address,
  BlobFacts,
  CatalogTotals,
  ClientRecord,
  DepositOutcome,
  FileRecord,
  MemberRecord,
  Preconditions,
} from "../catalog/types.ts";
import type { StoredBlob } from "../storage/types.ts";
import type { BlobSink, NodeStatus } from "../transport/types.ts";

/** What a door passes on of a `PUT /v1/files/{name}`. */
export interface DepositRequest {
  readonly clientId: ClientId;
  readonly name: FileName;
  /** The body; ends early with `upload-aborted` when the client goes away, `upload-timeout` when it is silent too long. */
  readonly body: AsyncIterable<Uint8Array>;
  /** `Content-Length`; undefined for a chunked body. */
  readonly declaredBytes: number | undefined;
  /** `Repr-Digest`. */
  readonly declaredSha256: Sha256 | undefined;
  readonly contentType: string | undefined;
  readonly replicas: number | undefined;
  readonly preconditions: Preconditions;
  /** The client waits with its body (`Expect: 100-continue`): identical bytes are to be answered before it is sent. */
  readonly bodyAwaited: boolean;
  /** Called once when the body is wanted; a body that is not wanted is never read. */
  wantBody(): void;
}

export interface DepositAnswer {
  readonly outcome: DepositOutcome;
  readonly record: FileRecord;
}

export interface Retrieval {
  readonly record: FileRecord;
  /**
   * Verified bytes of `[start, end)`, from whichever replica is there; goes over to another one in the middle if it must.
   * @throws {DepositoError} from the iteration: `not-enough-nodes` when no replica can be read (on), also because the file
   *   was replaced and its bytes swept meanwhile; before the first chunk or in the middle.
   */
  read(range: { readonly start: number; readonly end: number }, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** What a door passes on of a `PATCH /v1/records/{name}`. */
export interface EditRequest {
  readonly clientId: ClientId;
  readonly name: FileName;
  /** Undefined: as it is. */
  readonly replicas: number | undefined;
  readonly contentType: string | undefined;
  /** Against the record's tag `"v<version>"`. */
  readonly preconditions: Preconditions;
}

export interface ListRequest {
  readonly clientId: ClientId;
  readonly prefix: string;
  /** Undefined: no grouping. */
  readonly delimiter: string | undefined;
  readonly after: string | undefined;
  readonly limit: number;
}
export interface ListPage {
  readonly records: readonly FileRecord[];
  readonly prefixes: readonly string[];
  readonly next: string | undefined;
}

/** A learner follows and stores, and counts in no majority: for ever, or until it is close enough to vote. */
export type Membership = "voter" | "learner" | "leaving";
/** `unknown`: never heard of since this process started. */
export type NodeState = "up" | "down" | "unknown";

/** What came of a change of membership so far. */
export interface NodeMembership {
  readonly node: NodeId;
  readonly membership: Membership | "removed";
}

/** Something in the group that is not as it was, as this node sees it. */
export type ClusterEvent =
  | { readonly type: "leader"; readonly leader: NodeId | undefined; readonly term: number }
  | { readonly type: "node"; readonly node: NodeId; readonly state: NodeState }
  | { readonly type: "member"; readonly node: NodeId; readonly membership: Membership | "removed" };

export interface ClusterStatus {
  readonly cluster: string;
  readonly leader: NodeId | undefined;
  readonly term: number;
  readonly commitIndex: number;
  readonly nodes: readonly {
    readonly member: MemberRecord;
    readonly membership: Membership;
    readonly state: NodeState;
    readonly status: NodeStatus | undefined;
    readonly lastSeenWallMs: number | undefined;
  }[];
  readonly totals: CatalogTotals;
  /** What is wrong with the group that only an operator can mend, and what to do; undefined: nothing known. */
  readonly trouble: string | undefined;
}

/** A replica on this node's disk that a reader found damaged or gone. */
export interface LostReplica {
  readonly blobId: BlobId;
  readonly how: "damaged" | "gone";
}

/**
 * Everything a depositor or operator can do, without HTTP. Every verb throws `DepositoError`s whose codes are the
 * contract's slugs.
 *
 * A depositor's request is `authenticate` and then one verb. `authenticate` passes the read barrier, and the verb reads
 * the catalog after it: one barrier makes the whole request linearizable, so no verb passes a second one.
 * `clusterStatus` and `clusterEvents` need none: they tell how this node sees things. Neither do an operator's changes:
 * they are decided in the log.
 */
export interface Depot {
  registerClient(label: string | undefined): Promise<{ readonly client: ClientRecord; readonly secret: string }>;
  /** @throws `unauthenticated`: the same for an unknown client and a wrong secret. */
  authenticate(clientId: string, secret: string): Promise<ClientRecord>;
  rotateSecret(clientId: ClientId): Promise<{ readonly secret: string }>;
  deposit(request: DepositRequest): Promise<DepositAnswer>;
  retrieve(clientId: ClientId, name: FileName): Promise<Retrieval>;
  record(clientId: ClientId, name: FileName): Promise<FileRecord>;
  edit(request: EditRequest): Promise<FileRecord>;
  remove(clientId: ClientId, name: FileName, preconditions: Preconditions): Promise<void>;
  list(request: ListRequest): Promise<ListPage>;
  clusterStatus(): Promise<ClusterStatus>;
  /** Calls `listener` with how the group stands, and then with each change, until the result is called. */
  clusterEvents(listener: (event: ClusterEvent) => void): () => void;
  addMember(id: NodeId, peer: Address): Promise<NodeMembership>;
  removeMember(id: NodeId, options: { readonly acceptLoss: boolean }): Promise<NodeMembership>;
  moveLeadership(to: NodeId): Promise<{ readonly term: number }>;
}

/** The depot of a running node, which also looks after the replicas on its own disk. */
export interface RunningDepot extends Depot {
  /** Begins to look after this node's replicas; called once the catalog can be read. */
  start(): void;
  /** Whoever reads this node's disk for someone else tells here what it found wrong. */
  reportLost(lost: LostReplica): void;
  /** Starts nothing new; resolves when what is under way on this node's disk has ended. */
  close(): Promise<void>;
}

/** This node's disk, as its own door and its peers use it: blobs in, verified bytes out. */
export interface LocalHolder {
  /** @throws {DepositoError} `not-enough-space` below the low-water mark. */
  openSink(blobId: BlobId, expectedBytes: number | undefined): Promise<BlobSink>;
  /**
   * Stores small blobs; calls that wait together share their syncs. One result each, in order.
   * @throws {DepositoError} `not-enough-space` (none is kept), `too-many-requests` when too much waits for the disk already.
   */
  storeSmall(
    blobs: readonly { readonly facts: BlobFacts; readonly bytes: Uint8Array }[],
  ): Promise<readonly (StoredBlob | { readonly failed: "digest-mismatch" })[]>;
  /** @throws {DepositoError} `blob-not-found`, `blob-damaged`, at once or in the middle. */
  read(blobId: BlobId, range: { readonly start: number; readonly end: number }): Promise<AsyncIterable<Uint8Array>>;
  /** Copies a blob from a peer, verified and synced; at once if it is here already. */
  pull(from: NodeId, facts: BlobFacts): Promise<Staged>;
  discard(blobIds: readonly BlobId[]): Promise<void>;
}
