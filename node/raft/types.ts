import type { LogIndex, NodeId, Term } from "../base/ids.ts";

/**
 * What the consensus core and its driver say to each other.
 *
 *   inputs ──► step(now, input) ──► Effects ──► driver: persist ─► send ─► apply ──► inputs
 *
 * The core never waits, reads a clock, draws lots or touches disk and net; all of that comes in as an input.
 */

/** One position of the log. `data` is opaque here: a command of the catalog, or an encoded configuration. */
export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}
export type EntryKind = "noop" | "command" | "configuration";

/** Where a log stands: the index and term of one entry (Raft §5.4.1 compares these). */
export interface LogPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

/**
 * Who takes part. While `outgoing` is not empty the configuration is joint (Raft §6): every decision needs a majority
 * of `voters` and a majority of `outgoing`. Learners receive the log and are never counted. A voter being
 * demoted stays in `outgoing` and becomes a learner when the joint phase ends: it stands in `learnersNext` until then.
 */
export interface Configuration {
  readonly voters: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
}

/** What must survive a restart besides the log (Raft figure 2). */
export interface HardState {
  readonly term: Term;
  readonly votedFor: NodeId | undefined;
}

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/**
 * What one core sends another. Every message carries the sender's term, but a `pre-vote-request`, and the
 * `pre-vote-response` that grants it, the term that would start.
 */
export type RaftMessage =
  | { readonly type: "pre-vote-request"; readonly term: Term; readonly last: LogPosition }
  | { readonly type: "pre-vote-response"; readonly term: Term; readonly granted: boolean }
  | {
      readonly type: "vote-request";
      readonly term: Term;
      readonly last: LogPosition;
      /** Set when the old leader asked for this election with `timeout-now`: granted in spite of a live leader. */
      readonly transfer: boolean;
    }
  | { readonly type: "vote-response"; readonly term: Term; readonly granted: boolean }
  | {
      readonly type: "append-request";
      readonly term: Term;
      readonly previous: LogPosition;
      readonly entries: readonly Entry[];
      readonly commitIndex: LogIndex;
    }
  | {
      /** Leaves only after everything up to `matchIndex` is synced on the sender. */
      readonly type: "append-response";
      readonly term: Term;
      readonly result:
        | { readonly type: "matched"; readonly matchIndex: LogIndex }
        /** The entry before the sent ones did not match; `hint` is the follower's best guess (fast back-up). */
        | { readonly type: "rejected"; readonly previousIndex: LogIndex; readonly hint: LogPosition };
    }
  | {
      readonly type: "heartbeat-request";
      readonly term: Term;
      /** Never beyond what the follower is known to have: min(matchIndex, commitIndex). */
      readonly commitIndex: LogIndex;
      /** The leader's read round: a confirmed round confirms every read registered before it was sent. */
      readonly round: number;
    }
  | { readonly type: "heartbeat-response"; readonly term: Term; readonly round: number }
  | {
      /** The follower is behind the trimmed log: it must pull a snapshot of at least `snapshot` from a member. */
      readonly type: "install-snapshot-request";
      readonly term: Term;
      readonly snapshot: LogPosition;
    }
  | {
      readonly type: "read-index-request";
      readonly term: Term;
      /** Never used twice by one sender, across restarts too. */
      readonly position: number;
    }
  | {
      readonly type: "read-index-response";
      readonly term: Term;
      readonly position: number;
      /** Undefined: refused (not the leader any more); ask again. */
      readonly readIndex: LogIndex | undefined;
    }
  | { readonly type: "timeout-now"; readonly term: Term }
  | {
      /** A follower's `transfer-leadership`, passed on to its leader. */
      readonly type: "transfer-request";
      readonly term: Term;
      readonly to: NodeId | undefined;
    };

/** A message with its address. */
export interface Envelope {
  readonly to: NodeId;
  readonly message: RaftMessage;
}

/** Everything that can happen to a core. */
export type Input =
  | { readonly type: "tick" }
  | { readonly type: "message"; readonly from: NodeId; readonly message: RaftMessage }
  /** Appends commands when this node leads; otherwise `Effects.refusedProposals` counts them. */
  | { readonly type: "propose"; readonly commands: readonly Uint8Array[] }
  /** Asks for a linearizable read. `position` grows, and is never used twice, across restarts too. */
  | { readonly type: "read"; readonly position: number }
  /**
   * Everything appended up to `last`, the last entry of an `append` handed out, is synced; on every node, whatever its
   * role, in the order the appends were handed out. Ignored if the log was rewritten since.
   */
  | { readonly type: "log-persisted"; readonly last: LogPosition }
  /** Committed entries up to `index` are applied; the core may forget their bytes. */
  | { readonly type: "applied"; readonly index: LogIndex }
  /** The log was trimmed on disk: entries up to `through` are gone from it. */
  | { readonly type: "trimmed"; readonly through: LogIndex }
  /** Answers `Effects.loads`: entries read back from disk, in order, perhaps fewer than asked. */
  | { readonly type: "entries-loaded"; readonly to: NodeId; readonly entries: readonly Entry[] }
  /** A snapshot is durable in this node's catalog, and stands for everything up to `position`. */
  | { readonly type: "snapshot-installed"; readonly position: LogPosition; readonly configuration: Configuration }
  /** The connection to `peer` broke and a new one was refused: its process is gone. */
  | { readonly type: "peer-refused"; readonly peer: NodeId }
  /** Hands leadership to `to`, or to the most up-to-date voter when left out. A follower asks its leader to do so. */
  | { readonly type: "transfer-leadership"; readonly to: NodeId | undefined }
  /** Asks this leader to make these the members; `Effects.refusedMembership` says why not. */
  | ({ readonly type: "change-membership" } & WantedMembers);

/** Who shall take part, each node once; at least one voter. How to get there is the core's business. */
export interface WantedMembers {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

/**
 * Why a change of members was not begun. `change-under-way`: the configuration is joint, or not committed yet.
 * `too-early`: the leader has committed nothing of its own term yet, or is handing over. `learner-behind`: who becomes a
 * voter must be a learner that answers, and close to the end of the log.
 */
export type MembershipRefusal = "not-leader" | "change-under-way" | "too-early" | "learner-behind";

/** What the driver must do, in this order: persist → `messagesAfterSync`; everything else at once. */
export interface Effects {
  /** To be synced before `messagesAfterSync` leave. Set when term or vote changed. */
  readonly hardState: HardState | undefined;
  /** To be synced before `messagesAfterSync` leave. Replaces whatever the log holds from the first entry's index on. */
  readonly append: readonly Entry[];
  /** Messages that promise nothing about this node's disk. */
  readonly messages: readonly Envelope[];
  /**
   * Votes, acknowledgements, and whatever else depends on what was written. They leave in order, after the writes of
   * this and of every earlier step are synced, also when this step itself wrote nothing.
   */
  readonly messagesAfterSync: readonly Envelope[];
  /**
   * Newly committed entries to apply, in order, without gaps, each exactly once since start. Only what `log-persisted`
   * has reported is handed out, so that the applied index never runs ahead of this node's own log on disk.
   */
  readonly committed: readonly Entry[];
  /** Reads that may be answered once `readIndex` is applied. */
  readonly confirmedReads: readonly { readonly position: number; readonly readIndex: LogIndex }[];
  /** Reads that must be asked again: leadership was lost or is unknown. */
  readonly refusedReads: readonly number[];
  /** Why the commands of this `propose` were not appended; undefined when they were, or none were given. */
  readonly refusedProposals: "not-leader" | "too-many-uncommitted" | undefined;
  /** Why this `change-membership` did nothing; undefined when it did, or the members are those wanted already. */
  readonly refusedMembership: MembershipRefusal | undefined;
  /** Entries to read back from the log store for a follower that is behind what is held in memory. */
  readonly loads: readonly { readonly to: NodeId; readonly from: LogIndex; readonly maxBytes: number }[];
  /** Set when this follower must pull a snapshot of at least `position`, best from `from`. */
  readonly snapshotNeeded: { readonly from: NodeId; readonly position: LogPosition } | undefined;
  /** Set when role, term or known leader changed. */
  readonly leadership: Leadership | undefined;
  /** Set to the log position after a snapshot replaced the log: the log store must be reset to it before anything else. */
  readonly resetLog: LogPosition | undefined;
}

export interface Leadership {
  readonly role: Role;
  readonly term: Term;
  readonly leader: NodeId | undefined;
}

/** What a core starts from; everything here was read from this node's disk. */
export interface RaftOptions {
  readonly id: NodeId;
  readonly hardState: HardState;
  /** The configuration at `applied`, from the catalog. Later configuration entries stand in `entries`. */
  readonly configuration: Configuration;
  /** The position before the first entry that the log still holds. */
  readonly logBase: LogPosition;
  /** Terms of the whole log, as runs: each says from which index on that term holds. */
  readonly termRuns: readonly LogPosition[];
  /** Every entry after `applied`, with bytes. */
  readonly entries: readonly Entry[];
  readonly lastIndex: LogIndex;
  readonly applied: LogIndex;
  /** The log lost entries that were acknowledged: neither vote nor lead until peers have refilled it. */
  readonly lostPromises: boolean;
  /** The last index this node may have acknowledged; undefined when that is not known for sure. Only read with `lostPromises`. */
  readonly promisedIndex: LogIndex | undefined;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** At most this many entry bytes in one append-request (one entry always fits). */
  readonly maxAppendBytes: number;
  /** At most this many append-requests under way to one follower. */
  readonly maxInflightAppends: number;
  /** Proposals are refused beyond this many uncommitted bytes. */
  readonly maxUncommittedBytes: number;
  /** Bytes of applied entries kept in memory for followers that are a little behind. */
  readonly maxCachedBytes: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** What a core tells of itself, for status and metrics; a copy. */
export interface RaftStatus extends Leadership {
  readonly commitIndex: LogIndex;
  readonly applied: LogIndex;
  readonly last: LogPosition;
  readonly configuration: Configuration;
  readonly lostPromises: boolean;
  /** Leader only: what it knows of each other member, and of those who are on the way out. */
  readonly progress: ReadonlyMap<NodeId, ProgressStatus>;
}

export interface ProgressStatus {
  readonly matchIndex: LogIndex;
  readonly state: "probe" | "replicate" | "snapshot";
  /** Heard within an election timeout. */
  readonly isActive: boolean;
}

/** The pure consensus core, as its driver sees it. */
export interface ConsensusCore {
  /** `nowMs` is monotonic. Throws only `InvariantError`. */
  step(nowMs: number, input: Input): Effects;
  /** When the next `tick` is due, on the same clock; the driver may tick later, never needs to tick earlier. */
  readonly deadlineMs: number;
  status(): RaftStatus;
}
