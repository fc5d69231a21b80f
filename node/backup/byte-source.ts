/** A stream of bytes, taken in pieces of the size that is wanted, however it was cut into chunks. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#chunks = bytes[Symbol.asyncIterator]();
  }

  /** Exactly so many bytes; undefined when the stream ends before. */
  async take(sizeBytes: number): Promise<Buffer | undefined> {
    while (this.#heldBytes < sizeBytes) if (!(await this.#pull())) return undefined;
    const all = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held, this.#heldBytes);
    this.#held = sizeBytes < all.length ? [all.subarray(sizeBytes)] : [];
    this.#heldBytes -= sizeBytes;
    return all.subarray(0, sizeBytes);
  }

  /** Whether nothing is left. */
  async isAtEnd(): Promise<boolean> {
    while (this.#heldBytes === 0) if (!(await this.#pull())) return true;
    return false;
  }

  async #pull(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done === true) return false;
    const { buffer, byteOffset, byteLength } = next.value;
    this.#held.push(Buffer.from(buffer, byteOffset, byteLength));
    this.#heldBytes += byteLength;
    return true;
  }
}
