import { DepositoError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import type { CatalogReader, Write } from "../catalog/types.ts";
import { sealValue, unsealValue } from "./catalog-rows.ts";
import { LevelClosedError, type LevelReader } from "./disk.ts";
import type { LevelStore } from "./level.ts";
import type { CatalogSnapshot, CatalogStore } from "./types.ts";
import { lastMark, marksStart, markWrites } from "./write-marks.ts";

/** Reads of one LevelDB, or of one moment of it, each value verified. */
class VerifiedReader implements CatalogReader {
  readonly #path: string;
  readonly #rows: LevelReader;

  constructor(path: string, rows: LevelReader) {
    this.#path = path;
    this.#rows = rows;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    let sealed: Uint8Array | undefined;
    try {
      sealed = this.#rows.get(key);
    } catch (error) {
      throw this.#failure(error);
    }
    return sealed === undefined ? undefined : unsealValue(key, sealed);
  }

  async range(bounds: { readonly from: Uint8Array; readonly before: Uint8Array; readonly limit: number }) {
    const before = Buffer.compare(bounds.before, marksStart) > 0 ? marksStart : bounds.before;
    if (bounds.limit <= 0 || Buffer.compare(bounds.from, before) >= 0) return [];
    try {
      const rows = await this.#rows.first({ from: bounds.from, before }, bounds.limit);
      return rows.map(({ key, value }) => ({ key, value: unsealValue(key, value) }));
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): DepositoError {
    if (error instanceof DepositoError) return error;
    if (error instanceof LevelClosedError)
      return new DepositoError("no-quorum", "this catalog was closed or replaced while it was read", { cause: error });
    return new DepositoError("catalog-damaged", `${this.#path}: ${String(error)}`, { cause: error });
  }
}

/** One generation of the catalog in LevelDB. */
export class CatalogStoreOnDisk implements CatalogStore {
  readonly #level: LevelStore;
  readonly #reader: VerifiedReader;
  #writes: number;

  private constructor(level: LevelStore, writes: number) {
    this.#level = level;
    this.#reader = new VerifiedReader(level.path, level);
    this.#writes = writes;
  }

  /** Takes over an open LevelDB. @throws {DepositoError} `catalog-damaged` when a write is missing in it. */
  static async over(level: LevelStore): Promise<CatalogStoreOnDisk> {
    return new CatalogStoreOnDisk(level, await lastMark(level));
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#reader.get(key);
  }

  range(bounds: { readonly from: Uint8Array; readonly before: Uint8Array; readonly limit: number }) {
    return this.#reader.range(bounds);
  }

  async write(writes: readonly Write[], options: { readonly sync: boolean }): Promise<void> {
    this.#writes += 1;
    const sealed = writes.map(({ key, value }): Write => {
      invariant(Buffer.compare(key, marksStart) < 0, () => `key ${Buffer.from(key).toString("hex")} is reserved`);
      return { key, value: value === undefined ? undefined : sealValue(key, value) };
    });
    await this.#level.write([...sealed, ...markWrites(this.#writes)], options);
    if (options.sync) await this.#level.sync();
  }

  snapshot(): CatalogSnapshot {
    const snapshot = this.#level.snapshot();
    const reader = new VerifiedReader(this.#level.path, snapshot);
    return {
      get: (key) => reader.get(key),
      range: (bounds) => reader.range(bounds),
      close: () => snapshot.close(),
    };
  }

  /** Ends every read under way. */
  async close(): Promise<void> {
    await this.#level.close();
  }
}
