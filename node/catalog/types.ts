import type { ErrorCode } from "../base/errors.ts";
import type {
  BlobId,
  ClientId,
  ClusterId,
  CommandId,
  Incarnation,
  LogIndex,
  NodeId,
  ReplicaCount,
  Sha256,
  Staged,
  Version,
} from "../base/ids.ts";
import type { FileName } from "./names.ts";

/** Milliseconds since 1970, from the proposer's wall clock: for people, never for decisions. */
export type WallMs = number;

/** A depositor. The secret itself is never stored. */
export interface ClientRecord {
  readonly clientId: ClientId;
  /** sha256 of the secret, which has 256 bits of entropy: a slow hash would add nothing. */
  readonly secretHash: Sha256;
  readonly label: string | undefined;
  readonly files: number;
  readonly bytes: number;
  /** Sum over the client's files of size × wanted replicas. */
  readonly replicaBytes: number;
  readonly createdAt: WallMs;
}

/** One node that holds, or shall hold, a replica of a file's bytes. */
export type Holder =
  | { readonly node: NodeId; readonly state: "present"; readonly staged: Staged }
  | { readonly node: NodeId; readonly state: "missing" };

/** The facts of one blob; `sha256` and `sizeBytes` are of the plain bytes. */
export interface BlobFacts {
  readonly blobId: BlobId;
  readonly sizeBytes: number;
  readonly sha256: Sha256;
}

/** A file as the catalog knows it. `holders` are wanted; what is being dropped stands in the holder table only. */
export interface FileRecord {
  readonly clientId: ClientId;
  readonly name: FileName;
  readonly blob: BlobFacts;
  readonly contentType: string;
  readonly replicas: ReplicaCount;
  readonly version: Version;
  readonly createdAt: WallMs;
  readonly updatedAt: WallMs;
  /** In placement order. Besides the `replicas` wanted ones, a leaving node stands here until others have replaced its own. */
  readonly holders: readonly Holder[];
}

/** What one node holds, shall fetch or shall delete: the row `holders/<node>/<blobId>`. */
export interface HolderRow {
  readonly node: NodeId;
  readonly blob: BlobFacts;
  /** The file whose bytes these are, or were when `doomed`. */
  readonly clientId: ClientId;
  readonly name: FileName;
  readonly state: "present" | "missing" | "doomed";
}

export type MemberRole = "voter" | "storage";
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A node as it describes itself. */
export interface MemberFacts {
  readonly id: NodeId;
  readonly incarnation: Incarnation;
  readonly role: MemberRole;
  readonly zone: string;
  readonly api: Address;
  readonly peer: Address;
}

/**
 * `leaving`: an operator has removed it; it gets no new replicas, and is forgotten once others hold those it has.
 * `lost`: likewise, and its replicas are given up: nobody waits for what only it may hold.
 */
export type MemberState = "member" | "leaving" | "lost";

/** A node as the group knows it. */
export interface MemberRecord extends MemberFacts {
  readonly state: MemberState;
  /** The entry that added it, 1 for a founder. With the id it names this one membership: a removed id may be added again. */
  readonly life: LogIndex;
  /** Copies this node staged at or before this number can no longer be named by a command. */
  readonly sweptUpTo: Staged;
}

/** A copy that a node has made durable, as a command names it. Each life of a node counts what it stages from the start. */
export interface Copy {
  readonly node: NodeId;
  readonly life: LogIndex;
  readonly staged: Staged;
}

/** `If-Match` / `If-None-Match`, parsed: any existing file, or one whose tag is in the list. */
export type Match = { readonly type: "any" } | { readonly type: "tags"; readonly tags: readonly string[] };
export interface Preconditions {
  readonly ifMatch: Match | undefined;
  readonly ifNoneMatch: Match | undefined;
}

/** What the log orders. Ranked node lists are chosen by the door; `decide` picks from them, so every node agrees. */
export type Command =
  | {
      readonly type: "register-client";
      readonly clientId: ClientId;
      readonly secretHash: Sha256;
      readonly label: string | undefined;
      readonly at: WallMs;
    }
  | { readonly type: "rotate-secret"; readonly clientId: ClientId; readonly secretHash: Sha256; readonly at: WallMs }
  | {
      readonly type: "deposit";
      readonly clientId: ClientId;
      readonly name: FileName;
      /** Undefined: the door has only a digest yet and asks whether identical bytes stand there already. */
      readonly blobId: BlobId | undefined;
      readonly sizeBytes: number;
      readonly sha256: Sha256;
      /** Undefined: keep what stands there, `application/octet-stream` for a new file. */
      readonly contentType: string | undefined;
      /** Undefined: keep the count that stands there, `defaultReplicas` for a new file. */
      readonly replicas: ReplicaCount | undefined;
      readonly defaultReplicas: ReplicaCount;
      readonly copies: readonly Copy[];
      /** Nodes by preference for replicas that no copy covers. */
      readonly ranking: readonly NodeId[];
      readonly preconditions: Preconditions;
      readonly at: WallMs;
    }
  | {
      readonly type: "edit";
      readonly clientId: ClientId;
      readonly name: FileName;
      readonly replicas: ReplicaCount | undefined;
      readonly contentType: string | undefined;
      readonly ranking: readonly NodeId[];
      /** Against the record's tag `"v<version>"`. */
      readonly preconditions: Preconditions;
      readonly at: WallMs;
    }
  | {
      readonly type: "remove";
      readonly clientId: ClientId;
      readonly name: FileName;
      readonly preconditions: Preconditions;
      readonly at: WallMs;
    }
  | {
      /** A node tells what it did with its own replicas; rows that no longer fit are ignored, one by one. */
      readonly type: "report-replicas";
      readonly node: NodeId;
      readonly life: LogIndex;
      readonly reports: readonly ReplicaReport[];
    }
  | { readonly type: "sweep-fence"; readonly node: NodeId; readonly life: LogIndex; readonly upTo: Staged }
  | { readonly type: "add-member"; readonly member: MemberFacts }
  | {
      readonly type: "remove-member";
      readonly node: NodeId;
      /** Give up what only this node may hold. */
      readonly acceptLoss: boolean;
    }
  /** Gives files further holders where a leaving node has to be replaced, or nodes were lacking before. */
  | { readonly type: "reassign-replicas"; readonly files: readonly Reassignment[] }
  /** Takes doomed rows of a leaving node out of the table: nobody waits for it to delete them. */
  | {
      readonly type: "forget-replicas";
      readonly node: NodeId;
      readonly life: LogIndex;
      readonly blobIds: readonly BlobId[];
    }
  /** Ends the membership of a leaving node. Proposed once it has no row left; leaving nodes never get a new one. */
  | { readonly type: "forget-member"; readonly node: NodeId; readonly life: LogIndex };

/** One file whose holders are to be settled anew; ignored when other bytes stand there meanwhile. */
export interface Reassignment {
  readonly clientId: ClientId;
  readonly name: FileName;
  readonly blobId: BlobId;
  /** Nodes by preference for replicas that have no holder. */
  readonly ranking: readonly NodeId[];
}

export type ReplicaReport =
  | { readonly type: "made"; readonly blobId: BlobId; readonly staged: Staged }
  | { readonly type: "lost"; readonly blobId: BlobId } // damaged or gone: the row turns from present to missing
  | { readonly type: "dropped"; readonly blobId: BlobId }; // a doomed row may be forgotten

/** A command as it is proposed. A retry has the same `id`; `basis` is the proposer's applied index when it was first made. */
export interface Proposal {
  readonly id: CommandId;
  readonly basis: LogIndex;
  readonly command: Command;
}

/** What `decide` answers; replicated data, the same on every node. */
export type Outcome =
  | { readonly type: "done" }
  | { readonly type: "deposited"; readonly how: DepositOutcome; readonly record: FileRecord }
  | { readonly type: "edited"; readonly record: FileRecord }
  /** Identical bytes do not stand there: the door must send them. */
  | { readonly type: "bytes-needed" }
  /** `code` is a slug of the contract, or why the door must start over. */
  | { readonly type: "refused"; readonly code: RefusalCode; readonly detail: string };

export type DepositOutcome = "created" | "replaced" | "replicas-changed" | "unchanged";

export type RefusalCode =
  | Extract<ErrorCode, "precondition-failed" | "file-not-found" | "replicas-out-of-range" | "unauthenticated">
  | Extract<ErrorCode, "node-busy" | "node-not-found" | "already-a-member" | "last-voter">
  | "behind-fence" // a named copy may be swept already: deposit again
  | "too-few-copies" // the count was raised while the bytes were on their way: deposit again
  | "expired"; // so many entries lie between basis and index that a duplicate could not be told: propose anew

/** Totals over all files, kept as the log is applied. */
export interface CatalogTotals {
  readonly files: number;
  readonly bytes: number;
  /** Replicas over all files. */
  readonly wanted: number;
  readonly present: number;
  readonly missing: number;
  /** Wanted replicas that no node is named for: there were fewer nodes than that. */
  readonly unplaced: number;
}

/** The founding roster: what every node of a new group starts its catalog from, at index 1 of term 1. */
export interface Founding {
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  readonly members: readonly MemberFacts[];
}

/** One change of the catalog: a put, or a removal when `value` is undefined. */
export interface Write {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** Point reads of the catalog, synchronous: the store answers from LevelDB's cache, tests from a map. */
export interface CatalogView {
  get(key: Uint8Array): Uint8Array | undefined;
}

/** A consistent view with ranges, in key order by bytes, for lists, reconciliation and snapshots. */
export interface CatalogReader extends CatalogView {
  /** Keys in `(after, before)` or `[from, before)`; at most `limit` rows. */
  range(bounds: {
    readonly from: Uint8Array;
    readonly before: Uint8Array;
    readonly limit: number;
  }): Promise<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]>;
}
