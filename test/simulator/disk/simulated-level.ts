import type { Random } from "../../../node/base/clock.ts";
import type { Write } from "../../../node/catalog/types.ts";
import type { LevelCut, Row } from "../../../node/storage/disk.ts";
import { Rows, textOf } from "./rows.ts";

/** One batch in the write-ahead log. */
export interface Batch {
  readonly changes: readonly {
    readonly key: string;
    readonly before: Row | undefined;
    readonly after: Row | undefined;
  }[];
  /** They go on from batch to batch. */
  readonly number: number;
  readonly bytes: number;
  /** Number of the file of the log that it was written to. */
  readonly file: number;
  state: "taken" | "synced" | "condemned" | "damaged" | "lost";
}

/** What a LevelDB lost of its batches when the power was cut. */
export interface BatchLoss {
  readonly batches: number;
  readonly isHole: boolean;
}

/**
 * One LevelDB at rest or in use. Its tables are the rows without what the write-ahead log did to them:
 *
 *   tables ── batch ── batch │ batch ── batch     │ another file of the log is begun; a sync of LevelDB syncs only the newest
 *   durable   durable only once synced, or once a table has taken their place
 *
 * While it is in use, the rows have all batches in them; at rest, none.
 */
export class SimulatedLevel {
  readonly type = "level";
  rows = new Rows();
  /** What it takes on the disk; tables are packed only when it is opened. */
  sizeBytes = 0;
  isOpen = false;
  /** Why its files cannot be opened. */
  damage: string | undefined;
  #batches: Batch[] = [];
  #taken = 0;
  #file = 1;
  #fileBytes = 0;
  /** After a failed write: it takes everything and keeps nothing. */
  #isPoisoned = false;

  /** The rows get the batch; nothing is synced. Tells which file of the log has become full with it. */
  take(writes: readonly Write[], fileBytes: number): { readonly fullFile: number | undefined } {
    const changes = writes.map((write) => {
      const key = textOf(write.key);
      const before = this.rows.get(key);
      const after = write.value && { key: Buffer.from(write.key), value: Buffer.from(write.value) };
      this.rows.set(key, after);
      return { key, before, after };
    });
    const bytes = bytesOf(writes);
    const file = this.#file;
    const number = (this.#taken += 1);
    const batch: Batch = { changes, number, bytes, file, state: this.#isPoisoned ? "condemned" : "taken" };
    this.#batches.push(batch);
    this.sizeBytes += bytes;
    this.#fileBytes += bytes;
    if (this.#fileBytes < fileBytes) return { fullFile: undefined };
    this.#file += 1;
    this.#fileBytes = 0;
    return { fullFile: file };
  }

  /** The row as it is after a power cut that takes every batch that was not synced, each by itself. */
  durableRow(key: string): Row | undefined {
    let held: { readonly row: Row | undefined } | undefined;
    for (const { state, changes } of this.#batches) {
      for (const change of changes) {
        if (change.key !== key) continue;
        if (state === "synced") held = { row: change.after };
        else held ??= { row: change.before };
      }
    }
    return held === undefined ? this.rows.get(key) : held.row;
  }

  get lastBatch(): Batch | undefined {
    return this.#batches.at(-1);
  }

  /** As LevelDB does it: of the file that the batch is in, and not of those before. */
  syncFileOf(batch: Batch): void {
    this.#sync(batch, (each) => each.file === batch.file);
  }

  syncThrough(batch: Batch | undefined): void {
    if (batch !== undefined) this.#sync(batch, () => true);
  }

  /** A table has taken the place of the files up to `file`. */
  flush(file: number): void {
    if (!this.#isPoisoned) this.#batches = this.#batches.filter((batch) => batch.file > file);
  }

  poison(): void {
    this.#isPoisoned = true;
  }

  /** Nobody has it open any more; the batches wait in the log, but for those that never came there. */
  rest(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#isPoisoned = false;
    // Readers of the one that was open go on seeing what they saw.
    this.rows = this.rows.frozen();
    for (const { changes } of this.#batches.toReversed()) {
      for (const { key, before } of changes.toReversed()) this.rows.set(key, before);
    }
    this.#batches = this.#batches.filter(({ state }) => state !== "condemned");
  }

  /** The power is gone, while it rests: of what was not synced the beginning stays, or pieces with holes between them. */
  forget(random: Random, share: number): BatchLoss {
    const unsynced = this.#batches.filter(({ state }) => state === "taken");
    const asPrefix = random() < 0.5;
    const stays = Math.floor(random() * (unsynced.length + 1));
    let lost = 0;
    for (const [at, batch] of unsynced.entries()) {
      const isLost = asPrefix ? at >= stays : random() < share;
      if (!isLost) continue;
      batch.state = "lost";
      lost += 1;
    }
    const last = this.#batches.findLastIndex(({ state }) => state !== "lost");
    this.#batches = this.#batches.slice(0, last + 1);
    for (const batch of this.#batches) if (batch.state === "taken") batch.state = "synced";
    return { batches: lost, isHole: this.#batches.some(({ state }) => state === "lost") };
  }

  /** Takes the batches away that follow the first one that is lost or damaged. */
  cut(path: string): LevelCut | undefined {
    const at = this.#batches.findIndex(({ state }) => state === "lost" || state === "damaged");
    if (at < 0) return undefined;
    const finding = `batch ${at} is ${this.#batches[at]?.state}`;
    const sum = (batches: readonly Batch[]) => batches.reduce((bytes, batch) => bytes + batch.bytes, 0);
    const removed = this.#batches.splice(at);
    return { path, keptBytes: sum(this.#batches), lostBytes: sum(removed), finding, removed: [] };
  }

  /** What is in the log becomes a table; what is lost or damaged in it is skipped. */
  open(): void {
    for (const { state, changes } of this.#batches) {
      if (state === "lost" || state === "damaged") continue;
      for (const { key, after } of changes) this.rows.set(key, after);
    }
    this.#batches = [];
    this.isOpen = true;
    this.sizeBytes = bytesOf(this.rows.all());
  }

  /** Places where a row lies: as a row, or in a batch of the log. */
  get keys(): readonly string[] {
    return [...this.rows.keys, ...this.#batches.flatMap(({ changes }) => changes.map(({ key }) => key))];
  }

  /** Flips a bit of the row where it lies: in a table, which is served as it is, or in the log, which is read at the next start. */
  flip(key: string, bit: number): "table" | "log" | undefined {
    const batch = this.#batches.findLast(({ changes }) => changes.some((change) => change.key === key));
    if (batch !== undefined) {
      batch.state = "damaged";
      return "log";
    }
    const row = this.rows.get(key);
    if (row === undefined) return undefined;
    const value = Buffer.from(row.value);
    const offset = (bit >>> 3) % Math.max(1, value.length);
    if (value.length > 0) value.writeUInt8(value.readUInt8(offset) ^ (1 << (bit & 7)), offset);
    this.rows.set(key, { key: row.key, value });
    this.damage = "a block of a table is damaged";
    return "table";
  }

  #sync(through: Batch, counts: (batch: Batch) => boolean): void {
    for (const batch of this.#batches) {
      if (batch.number > through.number) return;
      if (batch.state === "taken" && counts(batch)) batch.state = "synced";
    }
  }
}

/** What rows or writes take on a disk. */
export function bytesOf(writes: Iterable<Write>): number {
  let bytes = 32;
  for (const { key, value } of writes) bytes += 16 + key.length + (value?.length ?? 0);
  return bytes;
}
