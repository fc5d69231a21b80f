import type { LogIndex, NodeId } from "../base/ids.ts";
import type { CatalogReader, CatalogTotals, Command, HolderRow, MemberRecord, Outcome } from "../catalog/types.ts";
import type { Configuration, RaftStatus } from "../raft/types.ts";
import type { NodeStatus } from "../transport/types.ts";

/** The replicated catalog, as the depot uses it. */
export interface Replication {
  /**
   * Orders a command and answers its outcome once it is applied here. Retries by itself, exactly once, across leaders.
   * @throws {DepositoError} `no-quorum` when no majority answered in time: the command may still happen, or never;
   *   `too-many-requests` when too many wait already: it never happens.
   */
  propose(command: Command): Promise<Outcome>;
  /**
   * After it resolves, `catalog` shows every write acknowledged before it was called (ReadIndex, Raft §6.4).
   * @throws {DepositoError} `no-quorum`, `too-many-requests`
   */
  barrier(): Promise<void>;
  /** The applied catalog of this node. @throws {DepositoError} `no-quorum` while it is being installed anew. */
  readonly catalog: CatalogReader;
  readonly applied: LogIndex;
  /** The life of this node that its directory belongs to, as commands name it. */
  readonly life: LogIndex;
  totals(): CatalogTotals;
  members(): readonly MemberRecord[];
  /** Who takes part in consensus, as of `applied`. */
  configuration(): Configuration;
  raft(): RaftStatus;
  /** Asks for `to` to lead, of this node or of the leader it knows; may be lost. */
  transferLeadership(to: NodeId): void;
  /** Calls `listener` after leadership, members or configuration changed here; the result stops it. */
  onGroupChange(listener: () => void): () => void;
  /** Whether this node has applied what the leader had committed when it joined; the reasons when not. */
  readiness(): { readonly ready: boolean; readonly reasons: readonly string[] };
  /** What is wrong with the group that only an operator can mend, and what to do; undefined: nothing known. */
  trouble(): string | undefined;
  /**
   * Calls `listener` after each apply with the rows of this node that changed to missing or doomed; with none after the
   * catalog was installed anew, when any of them may have changed. The result stops it.
   */
  onOwnHolderRows(listener: (rows: readonly HolderRow[]) => void): () => void;
}

/** What every node last told of itself. */
export interface Gossip {
  /** Undefined: never heard of since this process started. */
  of(
    node: NodeId,
  ): { readonly status: NodeStatus; readonly lastSeenWallMs: number; readonly alive: boolean } | undefined;
}
