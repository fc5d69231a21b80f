import { createHash, hash } from "node:crypto";
import { DepositoError } from "../base/errors.ts";
import type { Sha256 } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { DepositRequest } from "./types.ts";

/** Smaller chunks are joined before they are passed on, so that a dribbling client costs few writes. */
const joinedBytes = 64 * 1024;

export interface BodyReaderOptions {
  readonly body: DepositRequest["body"];
  readonly declaredBytes: number | undefined;
  readonly declaredSha256: Sha256 | undefined;
  readonly maxFileBytes: number;
}

/** A body as it turned out to be. */
export interface ReceivedFacts {
  readonly sizeBytes: number;
  readonly sha256: Sha256;
}

/**
 * Reads the body of a deposit once, in order: counts and hashes it, joins tiny chunks, and holds it against what was
 * declared. Everything it throws means that nothing may be kept: `file-too-large`, `size-mismatch`, `digest-mismatch`,
 * and whatever the body itself ends with.
 */
export class BodyReader {
  readonly #options: BodyReaderOptions;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #digest = createHash("sha256");
  /** Taken from the body, but not handed out yet. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #sizeBytes = 0;
  #ended = false;
  #facts: ReceivedFacts | undefined;

  constructor(options: BodyReaderOptions) {
    this.#options = options;
    this.#chunks = options.body[Symbol.asyncIterator]();
  }

  /** The whole body if it ends within `maxBytes`; else undefined, and `next` begins at its start all the same. */
  async whole(maxBytes: number): Promise<Uint8Array | undefined> {
    while (!this.#ended && this.#sizeBytes <= maxBytes) await this.#take();
    if (!this.#ended || this.#sizeBytes > maxBytes) return undefined;
    const bytes = this.#joinWaiting();
    this.#finish(hash("sha256", bytes) as Sha256);
    return bytes;
  }

  /** The next chunk, of 64 KiB or more unless it is the last; undefined after the last, when `facts` is known. */
  async next(): Promise<Uint8Array | undefined> {
    while (!this.#ended && this.#waitingBytes < joinedBytes) await this.#take();
    if (this.#waitingBytes === 0) {
      this.#finish(this.#digest.digest("hex") as Sha256);
      return undefined;
    }
    const chunk = this.#joinWaiting();
    this.#digest.update(chunk);
    return chunk;
  }

  /** Size and digest, once the body was read to its end. */
  get facts(): ReceivedFacts {
    invariant(this.#facts !== undefined, () => `facts of a body after ${this.#sizeBytes} bytes, before its end`);
    return this.#facts;
  }

  /** Asks for no more; resolves when the body has noticed, which may take as long as its next chunk. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #take(): Promise<void> {
    const { declaredBytes, maxFileBytes } = this.#options;
    const taken = await this.#chunks.next();
    if (taken.done === true) {
      this.#ended = true;
      if (declaredBytes !== undefined && this.#sizeBytes < declaredBytes) throw this.#sizeMismatch(declaredBytes);
      return;
    }
    if (taken.value.length === 0) return;
    this.#sizeBytes += taken.value.length;
    if (this.#sizeBytes > maxFileBytes) throw tooLarge(maxFileBytes);
    if (declaredBytes !== undefined && this.#sizeBytes > declaredBytes) throw this.#sizeMismatch(declaredBytes);
    this.#waiting.push(taken.value);
    this.#waitingBytes += taken.value.length;
  }

  #joinWaiting(): Uint8Array {
    const chunks = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const [only] = chunks;
    return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
  }

  #finish(sha256: Sha256): void {
    const { declaredSha256 } = this.#options;
    if (declaredSha256 !== undefined && declaredSha256 !== sha256) {
      throw new DepositoError("digest-mismatch", `declared sha-256 ${declaredSha256}, but the body has ${sha256}`);
    }
    this.#facts = { sizeBytes: this.#sizeBytes, sha256 };
  }

  #sizeMismatch(declaredBytes: number): DepositoError {
    return new DepositoError("size-mismatch", `declared ${declaredBytes} bytes, but ${this.#sizeBytes} were received`);
  }
}

/** What a body above the limit is answered with, declared or discovered. */
export function tooLarge(maxFileBytes: number): DepositoError {
  return new DepositoError("file-too-large", `a file may have at most ${maxFileBytes} bytes`);
}
