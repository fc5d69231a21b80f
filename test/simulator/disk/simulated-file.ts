import type { Random } from "../../../node/base/clock.ts";

/** What a page cache holds, or loses, at once. */
export const pageBytes = 4096;
/** What a disk writes whole or not at all. */
export const sectorBytes = 512;

/** Writes between two syncs: of each page they touched, what it held before; undefined: the file ended before it. */
export interface Unsynced {
  readonly before: Map<number, Buffer | undefined>;
  readonly sizeBefore: number;
  last: { readonly from: number; readonly to: number };
  /** A sync of it failed: it is never written any more, and no later sync tells. */
  isCondemned: boolean;
}

/** How a file lost what was not synced. */
export interface FileLoss {
  readonly pages: number;
  readonly isTorn: boolean;
}

/**
 * The bytes of one file, as processes see them, and what is needed to take away again what was not synced:
 *
 *   synced ◄── layer ◄── layer ◄── seen       a layer: the pages as they were before the writes between two syncs
 */
export class SimulatedFile {
  readonly type = "file";
  #bytes = Buffer.alloc(0);
  #size = 0;
  #layers: Unsynced[] = [];
  #topIsSealed = false;

  get size(): number {
    return this.#size;
  }

  read(into: Buffer, position: number): number {
    return this.#bytes.copy(into, 0, Math.min(position, this.#size), Math.min(position + into.length, this.#size));
  }

  write(parts: readonly Uint8Array[], position: number): void {
    const to = position + parts.reduce((sum, part) => sum + part.length, 0);
    if (to === position) return;
    const layer = this.#topLayer({ from: position, to });
    for (let page = Math.floor(position / pageBytes); page * pageBytes < to; page += 1) {
      if (!layer.before.has(page)) layer.before.set(page, this.#page(page));
    }
    this.#grow(to);
    let at = position;
    for (const part of parts) {
      this.#bytes.set(part, at);
      at += part.length;
    }
  }

  /** Whether a power cut leaves every byte as it is. */
  get isDurable(): boolean {
    return this.#layers.length === 0;
  }

  /** The bytes as they are after a power cut that takes everything that was not synced. */
  durableBytes(): Buffer {
    const bytes = Buffer.from(this.#bytes.subarray(0, this.#size));
    for (const { before } of this.#layers.toReversed())
      for (const [page, held] of before) {
        bytes.fill(0, page * pageBytes, (page + 1) * pageBytes);
        held?.copy(bytes, page * pageBytes);
      }
    return bytes.subarray(0, this.#layers[0]?.sizeBefore ?? this.#size);
  }

  /** A sync covers what was written before it began. */
  beginSync(): Unsynced | undefined {
    this.#topIsSealed = true;
    return this.#layers.at(-1);
  }

  endSync(through: Unsynced | undefined): void {
    const synced = this.#through(through);
    const keep: Unsynced[] = [];
    for (const [at, layer] of synced.entries()) {
      if (!layer.isCondemned) continue;
      // Only a page that was written anew, and then synced, is safe again.
      for (const later of synced.slice(at + 1)) {
        if (!later.isCondemned) for (const page of later.before.keys()) layer.before.delete(page);
      }
      if (layer.before.size > 0) keep.push(layer);
    }
    this.#layers.splice(0, synced.length, ...keep);
  }

  failSync(through: Unsynced | undefined): void {
    for (const layer of this.#through(through)) layer.isCondemned = true;
  }

  /** The power is gone: each page that was not synced falls back, with chance `share` for each step. */
  forget(random: Random, share: number): FileLoss {
    const newest = this.#layers.at(-1);
    const oldest = this.#layers[0];
    if (newest === undefined || oldest === undefined) return { pages: 0, isTorn: false };
    const sizeSeen = this.#size;
    const tornAt = tearOf(newest, random);
    let pages = 0;
    let isTorn = false;
    let size = oldest.sizeBefore;
    for (const page of new Set(this.#layers.flatMap(({ before }) => [...before.keys()]))) {
      let held: { readonly bytes: Buffer | undefined } | undefined;
      for (const { before } of this.#layers.toReversed()) {
        if (!before.has(page)) continue;
        if (random() >= share) break;
        held = { bytes: before.get(page) };
      }
      const from = page * pageBytes;
      if (held !== undefined) {
        pages += 1;
        this.#restore(from, from, held.bytes);
      } else if (newest.before.has(page) && tornAt < from + pageBytes) {
        isTorn = true;
        this.#restore(from, Math.max(from, tornAt), newest.before.get(page));
        size = Math.max(size, Math.min(tornAt, sizeSeen));
      } else {
        size = Math.max(size, Math.min(from + pageBytes, sizeSeen));
      }
    }
    this.#bytes.fill(0, size);
    this.#size = size;
    this.#layers = [];
    return { pages, isTorn };
  }

  flip(offset: number, bit: number): void {
    this.#bytes.writeUInt8(this.#bytes.readUInt8(offset) ^ (1 << bit), offset);
  }

  #topLayer(last: Unsynced["last"]): Unsynced {
    const top = this.#layers.at(-1);
    if (top !== undefined && !this.#topIsSealed && !top.isCondemned) {
      top.last = last;
      return top;
    }
    const layer: Unsynced = { before: new Map(), sizeBefore: this.#size, last, isCondemned: false };
    this.#layers.push(layer);
    this.#topIsSealed = false;
    return layer;
  }

  #through(layer: Unsynced | undefined): Unsynced[] {
    return layer === undefined ? [] : this.#layers.slice(0, this.#layers.indexOf(layer) + 1);
  }

  #page(page: number): Buffer | undefined {
    const from = page * pageBytes;
    return from >= this.#size
      ? undefined
      : Buffer.from(this.#bytes.subarray(from, Math.min(from + pageBytes, this.#size)));
  }

  /** Puts back what the page at `pageStart` held, from `from` on. */
  #restore(pageStart: number, from: number, held: Buffer | undefined): void {
    this.#bytes.fill(0, from, pageStart + pageBytes);
    held?.copy(this.#bytes, from, from - pageStart);
  }

  #grow(size: number): void {
    if (size > this.#bytes.length) {
      const bytes = Buffer.alloc(Math.max(Math.ceil(size / pageBytes) * pageBytes, this.#bytes.length * 2));
      this.#bytes.copy(bytes);
      this.#bytes = bytes;
    }
    this.#size = Math.max(this.#size, size);
  }
}

/** Where the last write ends that was under way; behind its end when it is whole. */
function tearOf({ last: { from, to } }: Unsynced, random: Random): number {
  if (random() < 0.5) return Number.POSITIVE_INFINITY;
  const sector = Math.floor((from + random() * (to - from)) / sectorBytes);
  return Math.max(from, sector * sectorBytes);
}
