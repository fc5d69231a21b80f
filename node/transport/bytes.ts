import { invariant } from "../base/invariant.ts";

const twoTo32 = 0x1_0000_0000;
/** The upper half of the largest safe integer. */
const maxHigh = 0x1f_ffff;

/** Writes into a buffer of the exact size that was computed before. */
export class ByteWriter {
  readonly bytes: Buffer;
  #offset = 0;

  constructor(sizeBytes: number) {
    this.bytes = Buffer.allocUnsafe(sizeBytes);
  }

  u8(value: number): this {
    this.#offset = this.bytes.writeUInt8(value, this.#offset);
    return this;
  }

  u32(value: number): this {
    this.#offset = this.bytes.writeUInt32BE(value, this.#offset);
    return this;
  }

  /** A whole number up to 2^53 - 1, in 8 bytes. */
  whole(value: number): this {
    invariant(Number.isSafeInteger(value) && value >= 0, () => `cannot send ${value} as a whole number`);
    this.#offset = this.bytes.writeUInt32BE(Math.floor(value / twoTo32), this.#offset);
    this.#offset = this.bytes.writeUInt32BE(value % twoTo32, this.#offset);
    return this;
  }

  raw(value: Uint8Array): this {
    this.bytes.set(value, this.#offset);
    this.#offset += value.length;
    return this;
  }

  /** The buffer, which must be full by now. */
  finish(): Buffer {
    invariant(this.#offset === this.bytes.length, () => `wrote ${this.#offset} of ${this.bytes.length} bytes`);
    return this.bytes;
  }
}

/**
 * Reads outside input. Instead of throwing at the first wrong byte it gives zeros and remembers: ask `complete` at the
 * end, and `failed` in loops whose length was read too.
 */
export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;
  #failed = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get failed(): boolean {
    return this.#failed;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** Everything was read, and was there. */
  get complete(): boolean {
    return !this.#failed && this.remaining === 0;
  }

  fail(): void {
    this.#failed = true;
  }

  u8(): number {
    return this.#has(1) ? (this.#bytes[this.#offset++] ?? 0) : 0;
  }

  u32(): number {
    if (!this.#has(4)) return 0;
    const value = this.#bytes.readUInt32BE(this.#offset);
    this.#offset += 4;
    return value;
  }

  whole(): number {
    const high = this.u32();
    const low = this.u32();
    if (high > maxHigh) this.#failed = true;
    return this.#failed ? 0 : high * twoTo32 + low;
  }

  /** A view, not a copy. */
  raw(sizeBytes: number): Buffer {
    if (!this.#has(sizeBytes)) return emptyBytes;
    const view = this.#bytes.subarray(this.#offset, this.#offset + sizeBytes);
    this.#offset += sizeBytes;
    return view;
  }

  #has(sizeBytes: number): boolean {
    if (this.#failed || this.remaining < sizeBytes) this.#failed = true;
    return !this.#failed;
  }
}

const emptyBytes = Buffer.alloc(0);
