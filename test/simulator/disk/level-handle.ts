import type { Write } from "../../../node/catalog/types.ts";
import {
  type KeyRange,
  LevelClosedError,
  type LevelHandle,
  type LevelReader,
  type LevelSnapshot,
  type Row,
} from "../../../node/storage/disk.ts";
import { type Rows, textOf } from "./rows.ts";
import type { Session } from "./session.ts";
import { type Batch, bytesOf, type SimulatedLevel } from "./simulated-level.ts";

const rowsPerGroup = 1000;

/** Reads of rows that may be closed under the reader. */
class RowsReader implements LevelReader {
  readonly #session: Session;
  readonly #rows: Rows;
  readonly #isClosed: () => boolean;

  constructor(session: Session, rows: Rows, isClosed: () => boolean) {
    this.#session = session;
    this.#rows = rows;
    this.#isClosed = isClosed;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#check();
    return this.#rows.get(textOf(key))?.value;
  }

  async *rows(range: KeyRange, groupBytes: number): AsyncGenerator<readonly Row[]> {
    this.#check();
    let group: Row[] = [];
    let bytes = 0;
    for (const row of this.#rows.range(range, Number.POSITIVE_INFINITY)) {
      group.push(row);
      bytes += row.key.length + row.value.length;
      if (group.length < rowsPerGroup && bytes < groupBytes) continue;
      yield await this.#session.perform("read", () => this.#checked(group));
      group = [];
      bytes = 0;
    }
    await this.#session.perform("read", () => this.#check());
    if (group.length > 0) yield group;
  }

  async first(range: KeyRange, limit: number): Promise<readonly Row[]> {
    this.#check();
    const rows = this.#rows.range(range, limit);
    return this.#session.perform("read", () => this.#checked(rows));
  }

  #checked(rows: readonly Row[]): readonly Row[] {
    this.#check();
    return rows;
  }

  #check(): void {
    if (this.#isClosed()) throw new LevelClosedError("it was closed");
  }
}

/** An open LevelDB of a simulated disk. Writes, syncs and the closing take effect one after the other. */
export class SimulatedLevelHandle implements LevelHandle {
  readonly #session: Session;
  readonly #path: string;
  readonly #level: SimulatedLevel;
  readonly #rows: Rows;
  readonly #reader: RowsReader;
  #isClosed = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(session: Session, path: string, level: SimulatedLevel) {
    this.#session = session;
    this.#path = path;
    this.#level = level;
    this.#rows = level.rows;
    this.#reader = new RowsReader(session, level.rows, () => this.#isClosed);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#reader.get(key);
  }

  rows(range: KeyRange, groupBytes: number): AsyncGenerator<readonly Row[]> {
    return this.#reader.rows(range, groupBytes);
  }

  first(range: KeyRange, limit: number): Promise<readonly Row[]> {
    return this.#reader.first(range, limit);
  }

  write(writes: readonly Write[], { sync }: { readonly sync: boolean }): Promise<void> {
    return this.#inTurn(() =>
      sync ? this.#writeSynced(writes) : this.#session.change("write", () => this.#take(writes)),
    );
  }

  sync(): Promise<void> {
    return this.#inTurn(() => this.#synced((last) => this.#level.syncThrough(last)));
  }

  snapshot(): LevelSnapshot {
    if (this.#isClosed) throw new LevelClosedError("it was closed");
    let isClosed = false;
    const reader = new RowsReader(this.#session, this.#rows.frozen(), () => isClosed || this.#isClosed);
    return {
      get: (key) => reader.get(key),
      rows: (range, groupBytes) => reader.rows(range, groupBytes),
      first: (range, limit) => reader.first(range, limit),
      close: async () => {
        isClosed = true;
      },
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#turn;
    await this.#session.perform("write", () => this.#level.rest());
  }

  async #inTurn(work: () => Promise<unknown>): Promise<void> {
    if (this.#isClosed) throw new LevelClosedError("it was closed");
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  /** The batch is in the log at once, and durable at the end: whoever is interrupted does not know whether it is. */
  #writeSynced(writes: readonly Write[]): Promise<void> {
    if (this.#session.isOff) return this.#session.perform("sync", () => undefined);
    this.#take(writes);
    return this.#synced((batch) => this.#level.syncFileOf(batch));
  }

  #synced(sync: (last: Batch) => void): Promise<void> {
    const { faults, events } = this.#session.machine;
    const last = this.#level.lastBatch;
    return this.#session.perform("sync", () => {
      if (faults.take("sync", this.#path)) {
        events.note("sync-failed");
        this.#level.poison();
        throw new Error(`IO error: ${this.#path}: Input/output error`);
      }
      if (last !== undefined) sync(last);
    });
  }

  #take(writes: readonly Write[]): void {
    const { faults, events, platter, walBytes } = this.#session.machine;
    const failure = faults.take("write", this.#path)
      ? "write-failed"
      : platter.takeRoom(bytesOf(writes)) > 0 && "disk-full";
    if (failure !== false) {
      events.note(failure);
      this.#level.poison();
      throw new Error(
        `IO error: ${this.#path}: ${failure === "disk-full" ? "No space left on device" : "Input/output error"}`,
      );
    }
    const { fullFile } = this.#level.take(writes, walBytes);
    if (fullFile === undefined) return;
    void this.#session.perform("table", () => {
      if (!this.#isClosed) this.#level.flush(fullFile);
    });
  }
}
