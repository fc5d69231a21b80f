import type { KeyRange, Row } from "../../../node/storage/disk.ts";

/** The key as text whose order is the byte order of the keys. */
export function textOf(key: Uint8Array): string {
  return Buffer.prototype.latin1Slice.call(key, 0, key.length);
}

/** The rows of a key-value store in memory, in key order; `frozen` shares them until the next change. */
export class Rows {
  #byKey: Map<string, Row>;
  #keys: string[];
  #shared = false;

  constructor(byKey = new Map<string, Row>(), keys: string[] = []) {
    this.#byKey = byKey;
    this.#keys = keys;
  }

  /** In order. */
  get keys(): readonly string[] {
    return this.#keys;
  }

  get(key: string): Row | undefined {
    return this.#byKey.get(key);
  }

  /** Puts a row there, or takes it away. */
  set(key: string, row: Row | undefined): void {
    if (this.#shared) {
      this.#byKey = new Map(this.#byKey);
      this.#keys = [...this.#keys];
      this.#shared = false;
    }
    if (row === undefined) {
      if (this.#byKey.delete(key)) this.#keys.splice(this.#placeOf(key), 1);
      return;
    }
    if (!this.#byKey.has(key)) this.#insert(key);
    this.#byKey.set(key, row);
  }

  all(): Iterable<Row> {
    return this.#byKey.values();
  }

  /** The first `limit` rows of the range. */
  range({ from, before }: KeyRange, limit: number): Row[] {
    const rows: Row[] = [];
    const end = textOf(before);
    for (let at = this.#placeOf(textOf(from)); at < this.#keys.length && rows.length < limit; at += 1) {
      const key = this.#keys[at] as string;
      if (key >= end) break;
      rows.push(this.#byKey.get(key) as Row);
    }
    return rows;
  }

  /** The content as it is now, whatever becomes of this one. */
  frozen(): Rows {
    this.#shared = true;
    return new Rows(this.#byKey, this.#keys);
  }

  #insert(key: string): void {
    const last = this.#keys.at(-1);
    if (last === undefined || key > last) this.#keys.push(key);
    else this.#keys.splice(this.#placeOf(key), 0, key);
  }

  /** Where the key is, or would be. */
  #placeOf(key: string): number {
    let from = 0;
    let to = this.#keys.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#keys[middle] as string) < key) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
