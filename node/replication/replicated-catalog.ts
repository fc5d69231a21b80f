/**
 * The replicated catalog of one node: consensus, log, catalog, proposals and reads, put together.
 *
 *   propose ─► Proposer ─► (leader's) ConsensusDriver ─► log on a majority ─► Applier ─► outcome ─► Proposer
 *   barrier ─► ReadBarrier ─► ConsensusDriver ─► leader confirmed by a majority ─► Applier has caught up
 *   digests of the peers ─► Checkpoints;  too far behind ─► CatalogReplacement ─► Applier.replaceCatalog
 */
import { DepositoError } from "../base/errors.ts";
import type { LogIndex, NodeId } from "../base/ids.ts";
import { Listeners } from "../base/listeners.ts";
import { type CatalogMeta, readMeta, recentOutcome } from "../catalog/apply.ts";
import { problemOfProposals } from "../catalog/codec.ts";
import { readMembers } from "../catalog/tables.ts";
import type { CatalogReader, CatalogTotals, Command, HolderRow, MemberRecord, Outcome } from "../catalog/types.ts";
import { isQuorum } from "../raft/quorum.ts";
import { Raft } from "../raft/raft.ts";
import type {
  Configuration,
  ConsensusCore,
  Leadership,
  MembershipRefusal,
  RaftOptions,
  RaftStatus,
  WantedMembers,
} from "../raft/types.ts";
import type { CatalogStore } from "../storage/types.ts";
import type { PeerFrame, Roster } from "../transport/types.ts";
import { type AppliedBatch, Applier } from "./applier.ts";
import { CatalogComparison } from "./catalog-comparison.ts";
import { CatalogReplacement } from "./catalog-replacement.ts";
import { type Checkpoint, Checkpoints } from "./checkpoints.ts";
import { Departure } from "./departure.ts";
import { ConsensusDriver } from "./driver.ts";
import { LogRetention, snapshotWaiters } from "./log-retention.ts";
import { MemberRoll, removedError } from "./member-roll.ts";
import { createReplicationMetrics, type ReplicationMetrics } from "./metrics.ts";
import { Proposer } from "./proposer.ts";
import { ReadBarrier } from "./read-barrier.ts";
import { Readiness } from "./readiness.ts";
import type { ReplicatedCatalogOptions } from "./replication-options.ts";
import { SnapshotServer } from "./snapshot-source.ts";
import { snapshotSources } from "./snapshot-sources.ts";
import { readStartState } from "./start-state.ts";
import type { Replication } from "./types.ts";
import { watchCatalog } from "./watched-catalog.ts";

const maxPositionsPerBoot = 2 ** 30;
const maxPendingBytes = 32 << 20;
const maxWaitingReads = 65_536;

/** Opens the replicated catalog on this node's stores; nothing moves before `start`. */
export async function openReplicatedCatalog(options: ReplicatedCatalogOptions): Promise<ReplicatedCatalog> {
  const state = await readStartState(options.stores.catalog, options.stores.log);
  const { self: id, settings, chance, tuning, witness } = options;
  const from: RaftOptions = { id, ...state, ...settings, ...tuning.core, random: chance.random };
  const core = new Raft(from);
  return new ReplicatedCatalog(options, witness?.watch(core, from, readMeta(options.stores.catalog)) ?? core);
}

export class ReplicatedCatalog implements Replication {
  readonly #options: ReplicatedCatalogOptions;
  readonly #driver: ConsensusDriver;
  readonly #applier: Applier;
  readonly #proposer: Proposer;
  readonly #reads: ReadBarrier;
  readonly #replacement: CatalogReplacement;
  readonly #departure: Departure;
  readonly #readiness: Readiness;
  readonly #ownRows = new Listeners<readonly HolderRow[]>();
  readonly #changes = new Listeners<void>();
  readonly #stopping = new AbortController();
  readonly #metrics: ReplicationMetrics;
  readonly checkpoints: Checkpoints;
  /** For the peers that pull this node's catalog. */
  readonly snapshots: SnapshotServer;
  /** There are members even while there is no catalog. */
  readonly #roll: MemberRoll;
  readonly #comparison: CatalogComparison;
  #leadership: Leadership;
  #refilling: boolean;

  constructor(options: ReplicatedCatalogOptions, core: ConsensusCore) {
    this.#options = options;
    const { clock, chance, batching, heard, onFatal, tuning } = options;
    const applied = () => this.applied;
    const catalog = watchCatalog(options.stores.catalog, onFatal);
    const self = { id: options.self, incarnation: options.incarnation };
    const { clusterName } = readMeta(catalog);
    this.#roll = new MemberRoll(self, { clusterName, members: readMembers(catalog) });
    this.checkpoints = new Checkpoints(tuning.checkpointEntries);
    this.#comparison = new CatalogComparison({
      checkpoints: this.checkpoints,
      others: () => this.members().length - 1,
      logger: options.logger,
      onFatal,
    });
    this.snapshots = new SnapshotServer({
      store: () => this.#applier.catalog,
      clock,
      chance,
      onChunk: (chunk) => this.#metrics.snapshotChunkSent(chunk),
    });
    this.#metrics = createReplicationMetrics(options.metrics, {
      raft: () => this.raft(),
      proposals: () => this.#proposer.pending,
      waitingReads: () => this.#reads.waiting,
      unwritten: () => this.#driver.unwritten,
      unapplied: () => this.#applier.queued,
    });
    this.#leadership = core.status();
    this.#refilling = core.status().lostPromises;
    this.#driver = new ConsensusDriver({
      core,
      log: options.stores.log,
      clock,
      batching,
      onFatal,
      room: () => this.#applier.room,
      onSynced: (durationMs, entries) => this.#metrics.logSynced(durationMs, entries),
      send: ({ to, message }) => options.send(to, { type: "raft", message }),
      events: {
        committed: (entries) => this.#applier.enqueue(entries),
        readsConfirmed: (reads) => this.#reads.confirmed(reads),
        readsRefused: (positions) => this.#reads.refused(positions),
        leadership: (change) => this.#leadershipChanged(change),
        snapshotNeeded: (need) => this.#replacement.begin(need),
      },
    });
    this.#applier = new Applier({
      ...tuning,
      clock,
      catalog,
      checkpoints: this.checkpoints,
      retention: new LogRetention({
        ...tuning,
        clock,
        holders: () => [...this.snapshots.holders, ...snapshotWaiters(this.raft(), options.heard)],
      }),
      onApplied: (batch) => this.#applied(batch),
      onWritten: (durationMs, entries) => this.#metrics.applied(durationMs, entries),
      onReplaced: (meta) => this.#replaced(meta),
      onTrimmable: (through) => void this.#driver.trim(through),
      onFatal,
    });
    this.#proposer = new Proposer({
      clock,
      chance,
      batching,
      applied,
      timeoutMs: tuning.quorumTimeoutMs,
      maxPendingBytes,
      submit: (proposals) => this.#submit(proposals),
    });
    this.#reads = new ReadBarrier({
      clock,
      applied,
      timeoutMs: tuning.quorumTimeoutMs,
      maxWaiting: maxWaitingReads,
      firstPosition: options.boots * maxPositionsPerBoot,
      ask: (position) => this.#driver.step({ type: "read", position }),
    });
    this.#replacement = new CatalogReplacement({
      self,
      peers: options.peers,
      begin: () => options.stores.installCatalog(),
      clock,
      logger: options.logger,
      sources: (need) => {
        const members = this.members().map(({ id }) => id);
        return snapshotSources({ ...need, self: options.self, members, heard: options.heard });
      },
      onTransfer: (transfer) => this.#metrics.snapshotReceived(transfer),
      replace: (pulled) =>
        this.#applier.replaceCatalog({
          ...pulled,
          complete: async () => watchCatalog(await pulled.complete(), onFatal),
        }),
      onFatal,
    });
    this.#departure = new Departure({
      self: options.self,
      clock,
      raft: () => this.raft(),
      transfer: () => this.#driver.step({ type: "transfer-leadership", to: undefined }),
      giveUp: () => this.#giveUp(),
    });
    this.#readiness = new Readiness({
      ...options,
      barrier: () => this.barrier(),
      isAcquainted: () => isQuorum(this.configuration(), (voter) => heard(voter)?.alive === true),
      isInstalling: () => this.isInstalling,
      raft: () => this.raft(),
      signal: this.#stopping.signal,
    });
  }

  start(): void {
    this.#driver.start();
    void this.#readiness.reach();
  }

  propose(command: Command): Promise<Outcome> {
    return this.#proposer.propose(command);
  }

  barrier(): Promise<void> {
    return this.#reads.barrier();
  }

  get catalog(): CatalogReader & Pick<CatalogStore, "snapshot"> {
    return this.#applier.catalog;
  }

  get applied(): LogIndex {
    return this.#applier.meta.applied.index;
  }

  get life(): LogIndex {
    return this.#roll.life;
  }

  get clusterName(): string {
    return this.#applier.meta.clusterName;
  }

  /** The group as this node knows it, for who is not in it yet, or not any more. */
  roster(): Roster {
    const { clusterId, clusterName, applied } = this.#applier.meta;
    return { clusterId, clusterName, applied: applied.index, members: this.members() };
  }

  totals(): CatalogTotals {
    return this.#applier.meta.totals;
  }

  members(): readonly MemberRecord[] {
    return this.#roll.members;
  }

  configuration(): Configuration {
    return this.#applier.meta.configuration;
  }

  transferLeadership(to: NodeId): void {
    this.#driver.step({ type: "transfer-leadership", to });
  }

  /** Asks consensus for other members; why it did not begin with that. */
  changeMembership(wanted: WantedMembers): MembershipRefusal | undefined {
    return this.#driver.step({ type: "change-membership", ...wanted }).refusedMembership;
  }

  /** Whether this node is getting a new catalog from a peer. */
  get isInstalling(): boolean {
    return this.#replacement.isUnderWay;
  }

  raft(): RaftStatus {
    return this.#driver.core.status();
  }

  readiness(): { readonly ready: boolean; readonly reasons: readonly string[] } {
    const { reasons } = this.#readiness;
    return { ready: reasons.length === 0, reasons };
  }

  trouble(): string | undefined {
    return this.#readiness.trouble;
  }

  onOwnHolderRows(listener: (rows: readonly HolderRow[]) => void): () => void {
    return this.#ownRows.add(listener);
  }

  onGroupChange(listener: () => void): () => void {
    return this.#changes.add(listener);
  }

  /** Takes in what a peer sent for consensus. */
  receive(from: NodeId, frame: Exclude<PeerFrame, { type: "status" }>): void {
    switch (frame.type) {
      case "raft":
        this.#driver.step({ type: "message", from, message: frame.message });
        return;
      case "proposals":
        this.#receiveProposals(from, frame.proposals);
        return;
    }
  }

  /** Where this node does not lead any more, the door sends them again, to whoever does. */
  #receiveProposals(from: NodeId, proposals: readonly Uint8Array[]): void {
    const problem = problemOfProposals(proposals);
    if (problem === undefined) this.#driver.step({ type: "propose", commands: proposals });
    else this.#options.logger.error({ from, error: problem }, "proposals that cannot be decoded: dropped");
  }

  /** Holds this node's catalog against a peer's, at the same index. */
  compareCheckpoint(peer: NodeId, checkpoint: Checkpoint | undefined): void {
    this.#comparison.compare(peer, checkpoint);
  }

  peerConnected(peer: NodeId): void {
    this.#departure.peerConnected(peer);
    if (peer === this.#leadership.leader) this.#proposer.resubmit();
  }

  peerRefused(peer: NodeId): void {
    this.#driver.step({ type: "peer-refused", peer });
    this.#departure.peerRefused(peer);
  }

  /** This node will stop: resolves when another one leads, when none could, or after `withinMs`. */
  handOver(withinMs: number): Promise<void> {
    return this.#departure.begin(withinMs);
  }

  /** Gives up whoever waits for a majority here; resolves when nothing is written any more. */
  async stop(): Promise<void> {
    const reason = new DepositoError("no-quorum", "this node is stopping");
    this.#stopping.abort(reason);
    this.#giveUp();
    await this.#replacement.stop(reason);
    await this.snapshots.close();
    await this.#driver.stop();
    await this.#applier.stop();
  }

  /** Answers everybody who waits for a majority here, and refuses whoever comes. */
  #giveUp(): void {
    this.#proposer.stop();
    this.#reads.stop();
  }

  #submit(proposals: readonly Uint8Array[]): void {
    const { leader } = this.#leadership;
    if (leader === undefined) return; // they wait for one
    if (leader === this.#options.self) this.#driver.step({ type: "propose", commands: proposals });
    else this.#options.send(leader, { type: "proposals", proposals });
  }

  #leadershipChanged(change: Leadership): void {
    const leaderChanged = change.leader !== this.#leadership.leader || change.term !== this.#leadership.term;
    this.#leadership = change;
    this.#options.logger.info(change, "leadership");
    this.#metrics.leadershipChanged(change);
    this.#departure.leadershipChanged(change);
    this.#changes.tell();
    if (change.leader === undefined || !leaderChanged) return;
    this.#proposer.resubmit();
    this.#reads.retry();
  }

  #applied(batch: AppliedBatch): void {
    const { applied, results, ownerRows } = batch;
    this.#options.witness?.applied(batch, this.#applier);
    if (batch.members !== undefined) this.#membersChanged(batch.members);
    if (batch.members !== undefined || batch.configured) this.#changes.tell();
    this.#driver.step({ type: "applied", index: applied });
    for (const { id, outcome } of results) this.#proposer.applied(id, outcome);
    this.#reads.appliedMoved();
    const own = ownerRows.filter(({ node }) => node === this.#options.self);
    if (own.length > 0) this.#ownRows.tell(own);
    this.#noteRefilled();
  }

  #membersChanged(members: readonly MemberRecord[]): void {
    if (this.#roll.update(members)) return;
    this.#giveUp();
    this.#options.onFatal(removedError(this.#options.self, this.clusterName));
  }

  #noteRefilled(): void {
    if (!this.#refilling || this.#driver.core.status().lostPromises) return;
    this.#refilling = false;
    this.#options.logger.info("the log is refilled; this node votes again");
    void this.#driver.promisesRefilled();
  }

  /** Nobody saw the entries that the snapshot stands for: whoever waits for one of them is told what is known. */
  #replaced(meta: CatalogMeta): void {
    const { applied, configuration } = meta;
    this.#options.witness?.installed(meta);
    this.#metrics.snapshotInstalled();
    this.checkpoints.clear();
    this.#membersChanged(readMembers(this.#applier.catalog));
    this.#changes.tell();
    this.#driver.step({ type: "snapshot-installed", position: applied, configuration });
    this.#driver.step({ type: "applied", index: applied.index });
    this.#proposer.entriesSkipped((id) => recentOutcome(this.#applier.catalog, id));
    this.#reads.appliedMoved();
    this.#ownRows.tell([]);
    this.#noteRefilled();
  }
}
