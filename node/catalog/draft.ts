import type { BlobId, NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { clientKey, fileKey, holderKey, keyText, membersKey } from "./keys.ts";
import { encodeMembers } from "./member-codec.ts";
import { encodeClient, encodeFile, encodeHolderRow } from "./row-codec.ts";
import { readClient } from "./tables.ts";
import { addTotals, noTotals, totalsOf } from "./totals.ts";
import type {
  CatalogTotals,
  CatalogView,
  ClientRecord,
  FileRecord,
  HolderRow,
  MemberRecord,
  Outcome,
  Write,
} from "./types.ts";

/** What one command brings about. */
export interface Decision {
  readonly outcome: Outcome;
  /** Each key once. */
  readonly writes: readonly Write[];
  /** Every replica row put, whatever its state, in order. */
  readonly holderRows: readonly HolderRow[];
  /** What to add to the catalog's totals; negative for less. */
  readonly totals: CatalogTotals;
}

/**
 * The changes of one command while it is decided; reads see them. Files change only through `changeFile`, which keeps what
 * must always be true: each holder of a record has its row in the same state, a row without a holder is doomed, and
 * counters and totals are the sums over the records.
 */
export class Draft implements CatalogView {
  readonly #view: CatalogView;
  readonly #writes = new Map<string, Write>();
  readonly #holderRows: HolderRow[] = [];
  #totals: CatalogTotals = noTotals;

  constructor(view: CatalogView) {
    this.#view = view;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const own = this.#writes.size === 0 ? undefined : this.#writes.get(keyText(key));
    return own === undefined ? this.#view.get(key) : own.value;
  }

  decision(outcome: Outcome): Decision {
    return { outcome, writes: [...this.#writes.values()], holderRows: this.#holderRows, totals: this.#totals };
  }

  putClient(client: ClientRecord): void {
    this.#put(clientKey(client.clientId), encodeClient(client));
  }

  putMembers(members: readonly MemberRecord[]): void {
    this.#put(membersKey, encodeMembers(members));
  }

  putHolder(row: HolderRow): void {
    this.#put(holderKey(row.node, row.blob.blobId), encodeHolderRow(row));
    this.#holderRows.push(row);
  }

  removeHolder(node: NodeId, blobId: BlobId): void {
    this.#put(holderKey(node, blobId), undefined);
  }

  /** Puts `after` in the place of `before`; undefined is no file. Replicas that are no longer wanted are doomed. */
  changeFile(before: FileRecord | undefined, after: FileRecord | undefined): void {
    const { clientId, name } = ownerOf(before, after);
    this.#put(fileKey(clientId, name), after === undefined ? undefined : encodeFile(after));
    if (before !== undefined) this.#doomUnwanted(before, after);
    if (after !== undefined) this.#putWanted(before, after);
    this.#count(before, after);
  }

  #doomUnwanted(before: FileRecord, after: FileRecord | undefined): void {
    const kept = after?.blob.blobId === before.blob.blobId ? after.holders : [];
    for (const { node } of before.holders) {
      if (kept.some((holder) => holder.node === node)) continue;
      // A missing one too: its node may be fetching the bytes right now.
      this.putHolder({ ...rowBase(before), node, state: "doomed" });
    }
  }

  #putWanted(before: FileRecord | undefined, after: FileRecord): void {
    const known = before?.blob.blobId === after.blob.blobId ? before.holders : [];
    for (const { node, state } of after.holders) {
      if (known.some((holder) => holder.node === node && holder.state === state)) continue;
      this.putHolder({ ...rowBase(after), node, state });
    }
  }

  #count(before: FileRecord | undefined, after: FileRecord | undefined): void {
    const more = totalsOf(after);
    const less = totalsOf(before);
    this.#totals = addTotals(addTotals(this.#totals, more, 1), less, -1);
    const files = more.files - less.files;
    const bytes = more.bytes - less.bytes;
    const replicaBytes = replicaBytesOf(after) - replicaBytesOf(before);
    if (files === 0 && bytes === 0 && replicaBytes === 0) return;
    const { clientId } = ownerOf(before, after);
    const client = readClient(this, clientId);
    invariant(client !== undefined, () => `a file changes, but its client ${clientId} is unknown`);
    this.putClient({
      ...client,
      files: client.files + files,
      bytes: client.bytes + bytes,
      replicaBytes: client.replicaBytes + replicaBytes,
    });
  }

  #put(key: Uint8Array, value: Uint8Array | undefined): void {
    this.#writes.set(keyText(key), { key, value });
  }
}

function ownerOf(before: FileRecord | undefined, after: FileRecord | undefined): FileRecord {
  const record = after ?? before;
  invariant(record !== undefined, () => "a change from no file to no file");
  return record;
}

function rowBase({ blob, clientId, name }: FileRecord): Pick<HolderRow, "blob" | "clientId" | "name"> {
  return { blob, clientId, name };
}

function replicaBytesOf(record: FileRecord | undefined): number {
  return record === undefined ? 0 : record.blob.sizeBytes * record.replicas;
}
