/** Reads LevelDB's number formats one after the other; undefined from any read beyond the end, and from all after it. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.byteLength;
  }

  /** A varint of up to 53 bits. */
  varint(): number | undefined {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) return undefined;
      this.#at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return Number.isSafeInteger(value) ? value : undefined;
    }
    return undefined;
  }

  take(length: number | undefined): Buffer | undefined {
    if (length === undefined || this.#at + length > this.#bytes.byteLength) {
      this.#at = this.#bytes.byteLength + 1;
      return undefined;
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A byte string behind its length. */
  string(): Buffer | undefined {
    return this.take(this.varint());
  }
}
