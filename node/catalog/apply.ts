/**
 * How the log becomes the catalog.
 *
 *   entries ──► for each: forget what leaves the window ──► known id? ──► its recorded outcome, nothing changes
 *                                                       └─► expired?  ──► refused, nothing changes
 *                                                       └─► decide ──► writes, remembered under its id
 *           ──► all changes merged, one write per row, and the meta row with applied index, digest and totals
 *
 * How entries are cut into batches makes no difference to the rows.
 */
import type { CommandId, LogIndex } from "../base/ids.ts";
import { InvariantError, invariant } from "../base/invariant.ts";
import { decodeConfiguration } from "../raft/configuration.ts";
import type { Entry } from "../raft/types.ts";
import { decodeProposal } from "./codec.ts";
import { decide } from "./decide.ts";
import { DigestAccumulator } from "./digest.ts";
import { holderKey, keyText, membersKey } from "./keys.ts";
import { type CatalogMeta, metaWrite } from "./meta.ts";
import { type ChangedRow, Overlay } from "./overlay.ts";
import { forgetCommand, recentOutcome, refuseExpired, rememberCommand } from "./recent-commands.ts";
import { readMembers } from "./tables.ts";
import { addTotals } from "./totals.ts";
import type { CatalogView, HolderRow, MemberRecord, Outcome, Proposal, Write } from "./types.ts";

export { foundingWrites, restoredWrites } from "./founding.ts";
export { type CatalogMeta, readMeta } from "./meta.ts";
export { recentOutcome } from "./recent-commands.ts";

/** What a command answered, duplicates of it too. */
export interface CommandResult {
  readonly index: LogIndex;
  readonly id: CommandId;
  readonly outcome: Outcome;
}

export interface AppliedEntries {
  /** To be written all or nothing; each key once, the meta row among them. */
  readonly writes: readonly Write[];
  readonly meta: CatalogMeta;
  /** One for each command, in log order. */
  readonly results: readonly CommandResult[];
  /** Replica rows that were put and are missing or doomed now: work for their nodes. */
  readonly ownerRows: readonly HolderRow[];
  /** The members, when these entries changed them. */
  readonly members: readonly MemberRecord[] | undefined;
  /** Whether one of these entries is a configuration. */
  readonly configured: boolean;
}

/**
 * Applies the entries that follow `meta.applied` to the catalog in `view`. Pure: the caller writes `writes`, and passes
 * `meta` on.
 * @throws {DepositoError} `catalog-damaged` when a row it needs does not decode.
 * @throws {InvariantError} on a gap, and on a command that does not decode: it was checked before it was appended.
 */
export function applyEntries(view: CatalogView, meta: CatalogMeta, entries: readonly Entry[]): AppliedEntries {
  const batch = new Batch(view, meta);
  for (const entry of entries) batch.apply(entry);
  return batch.finish();
}

const membersKeyText = keyText(membersKey);

class Batch {
  readonly #overlay: Overlay;
  readonly #results: CommandResult[] = [];
  readonly #ownerRows = new Map<string, HolderRow>();
  #meta: CatalogMeta;
  #configured = false;

  constructor(view: CatalogView, meta: CatalogMeta) {
    this.#overlay = new Overlay(view);
    this.#meta = meta;
  }

  apply({ index, term, kind, data }: Entry): void {
    const { applied } = this.#meta;
    invariant(index === applied.index + 1, () => `entry ${index} after ${applied.index}`);
    invariant(term >= applied.term, () => `entry ${index} of term ${term} after term ${applied.term}`);
    this.#overlay.write(forgetCommand(this.#overlay, index));
    if (kind === "configuration") {
      this.#meta = { ...this.#meta, configuration: decodeConfiguration(data) };
      this.#configured = true;
    }
    if (kind === "command") {
      const proposal = decodeCommitted(index, data);
      this.#results.push({ index, id: proposal.id, outcome: this.#outcomeOf(index, proposal) });
    }
    this.#meta = { ...this.#meta, applied: { index, term } };
  }

  finish(): AppliedEntries {
    const changes = this.#overlay.changes();
    const meta = { ...this.#meta, digest: digestAfter(this.#meta, changes) };
    return {
      writes: [...changes.map(({ key, value }) => ({ key, value })), metaWrite(meta)],
      meta,
      results: this.#results,
      // A doomed row may be gone again by the end of the batch.
      ownerRows: [...this.#ownerRows.values()].filter((row) => this.#overlay.get(rowKey(row)) !== undefined),
      members: changes.some(({ key }) => keyText(key) === membersKeyText) ? readMembers(this.#overlay) : undefined,
      configured: this.#configured,
    };
  }

  #outcomeOf(index: LogIndex, proposal: Proposal): Outcome {
    const known = recentOutcome(this.#overlay, proposal.id) ?? refuseExpired(proposal, index);
    if (known !== undefined) return known;
    const { command } = proposal;
    const { configuration } = this.#meta;
    const { outcome, writes, holderRows, totals } = decide(this.#overlay, { index, configuration, command });
    invariant(outcome.type !== "refused" || writes.length === 0, () => `entry ${index} is refused and writes`);
    this.#overlay.write(writes);
    this.#overlay.write(rememberCommand(index, proposal.id, outcome));
    this.#meta = { ...this.#meta, totals: addTotals(this.#meta.totals, totals, 1) };
    for (const row of holderRows) this.#noteOwnerRow(row);
    return outcome;
  }

  #noteOwnerRow(row: HolderRow): void {
    if (row.state !== "present") this.#ownerRows.set(keyText(rowKey(row)), row);
    else if (this.#ownerRows.size > 0) this.#ownerRows.delete(keyText(rowKey(row)));
  }
}

function rowKey({ node, blob }: HolderRow): Uint8Array {
  return holderKey(node, blob.blobId);
}

function digestAfter(meta: CatalogMeta, changes: readonly ChangedRow[]): CatalogMeta["digest"] {
  const digest = new DigestAccumulator(meta.digest);
  for (const { key, before, value } of changes) {
    if (before !== undefined) digest.remove(key, before);
    if (value !== undefined) digest.add(key, value);
  }
  return digest.value;
}

function decodeCommitted(index: LogIndex, data: Uint8Array): Proposal {
  try {
    return decodeProposal(data);
  } catch (cause) {
    throw new InvariantError(`the committed command ${index} does not decode`, { cause });
  }
}
