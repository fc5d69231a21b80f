import { DepositoError } from "../../node/base/errors.ts";
import { type LogIndex, logIndex, type NodeId, newCommandId, term } from "../../node/base/ids.ts";
import { Listeners } from "../../node/base/listeners.ts";
import { applyEntries, type CatalogMeta, foundingWrites } from "../../node/catalog/apply.ts";
import { encodeProposal } from "../../node/catalog/codec.ts";
import { readMembers } from "../../node/catalog/tables.ts";
import type { CatalogTotals, Command, Founding, HolderRow, MemberRecord, Outcome } from "../../node/catalog/types.ts";
import type { Configuration, Entry, RaftStatus } from "../../node/raft/types.ts";
import type { Replication } from "../../node/replication/types.ts";
import { MapCatalog } from "./map-catalog.ts";

/** A log that is always agreed on: every connected replica applies an entry before its proposer hears of it. */
export class InProcessLog {
  readonly founding: Founding;
  readonly entries: Entry[] = [];
  readonly replicas: InProcessReplication[] = [];

  constructor(founding: Founding) {
    this.founding = founding;
  }

  append(data: Uint8Array, kind: Entry["kind"] = "command"): LogIndex {
    const index = logIndex(this.entries.length + 2); // the founding catalog stands for index 1
    this.entries.push({ index, term: term(1), kind, data });
    for (const replica of this.replicas) replica.catchUp();
    return index;
  }
}

/** One node's applied catalog, through the production `applyEntries`. */
export class InProcessReplication implements Replication {
  readonly catalog = new MapCatalog();
  /** Cut off from the log: nothing is proposed, read or applied. */
  isCut = false;
  barriers = 0;
  readonly proposed: Command[] = [];
  /** Stands between a proposal and the log: may throw before or after `order`. */
  interfere: (command: Command, order: () => Outcome) => Outcome | Promise<Outcome> = (_, order) => order();
  readonly #self: NodeId;
  readonly #log: InProcessLog;
  readonly #listeners = new Set<(rows: readonly HolderRow[]) => void>();
  readonly #groupListeners = new Listeners<void>();
  /** Who leads: this node, unless a test says otherwise. */
  #leader: NodeId | undefined;
  /** To whom leadership was asked to go, in order; a test may let it. */
  readonly transfers: NodeId[] = [];
  #meta: CatalogMeta;

  constructor(self: NodeId, log: InProcessLog) {
    this.#self = self;
    this.#leader = self;
    this.#log = log;
    const { writes, meta } = foundingWrites(log.founding);
    this.catalog.write(writes);
    this.#meta = meta;
    log.replicas.push(this);
    this.catchUp();
  }

  async propose(command: Command): Promise<Outcome> {
    this.proposed.push(command);
    return this.interfere(command, () => {
      this.#requireQuorum();
      const id = newCommandId();
      const index = this.#log.append(encodeProposal({ id, basis: this.applied, command }));
      const outcome = this.#outcomes.get(index);
      if (outcome === undefined) throw new Error(`entry ${index} was not applied`);
      return outcome;
    });
  }

  async barrier(): Promise<void> {
    this.barriers += 1;
    this.#requireQuorum();
  }

  /** Applies everything that this replica has not seen yet, one entry at a time. */
  catchUp(): void {
    while (!this.isCut && this.applied - 1 < this.#log.entries.length) {
      const entry = this.#log.entries[this.applied - 1] as Entry;
      const { writes, meta, results, ownerRows, members, configured } = applyEntries(this.catalog, this.#meta, [entry]);
      this.catalog.write(writes);
      this.#meta = meta;
      for (const { index, outcome } of results) this.#outcomes.set(index, outcome);
      if (members !== undefined || configured) this.#groupListeners.tell();
      const own = ownerRows.filter(({ node }) => node === this.#self);
      if (own.length > 0) for (const listener of this.#listeners) listener(own);
    }
  }

  get applied(): LogIndex {
    return this.#meta.applied.index;
  }
  get life(): LogIndex {
    const life = this.members().find(({ id }) => id === this.#self)?.life;
    if (life === undefined) throw new Error(`${this.#self} is no member`);
    return life;
  }
  totals(): CatalogTotals {
    return this.#meta.totals;
  }
  members(): readonly MemberRecord[] {
    return readMembers(this.catalog);
  }
  configuration(): Configuration {
    return this.#meta.configuration;
  }
  transferLeadership(to: NodeId): void {
    this.transfers.push(to);
  }
  onGroupChange(listener: () => void): () => void {
    return this.#groupListeners.add(listener);
  }
  /** Another node leads now, or nobody. */
  follow(leader: NodeId | undefined): void {
    this.#leader = leader;
    this.#groupListeners.tell();
  }
  raft(): RaftStatus {
    const { applied, configuration } = this.#meta;
    return {
      role: this.#leader === this.#self ? "leader" : "follower",
      term: term(1),
      leader: this.#leader,
      commitIndex: applied.index,
      applied: applied.index,
      last: applied,
      configuration,
      lostPromises: false,
      progress: new Map(),
    };
  }
  trouble(): string | undefined {
    return undefined;
  }

  readiness() {
    return { ready: true, reasons: [] };
  }
  onOwnHolderRows(listener: (rows: readonly HolderRow[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  readonly #outcomes = new Map<LogIndex, Outcome>();

  #requireQuorum(): void {
    if (this.isCut) throw new DepositoError("no-quorum", "this node is cut off");
  }
}
