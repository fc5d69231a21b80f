import type { BlobFacts } from "../catalog/types.ts";
import { decodeFacts, encodeFacts } from "./batch-codec.ts";

/**
 * The body of `PUT /peer/blobs/:blobId`, whose length nobody knows when it begins:
 *
 *   u8 1 │ u32 length │ bytes │ u32 length │ bytes │ … │ u32 0 │ u16 length │ facts
 *
 * The holder answers 102 to the first byte once it is ready to store. A body that ends before its facts, however
 * properly, was given up.
 */
export const sinkPreamble: Uint8Array = Uint8Array.of(1);

/** The head of a piece of `sizeBytes`, which is not 0. */
export function pieceHead(sizeBytes: number): Buffer {
  const head = Buffer.allocUnsafe(4);
  head.writeUInt32BE(sizeBytes);
  return head;
}

/** The end of the body: nothing follows it. */
export function finalPiece(facts: BlobFacts): Buffer {
  const packed = encodeFacts(facts);
  const head = Buffer.alloc(6);
  head.writeUInt16BE(packed.length, 4);
  return Buffer.concat([head, packed]);
}

/** What a chunk of the body held: bytes of the blob as views, in order, then perhaps its facts. */
export interface SinkPieces {
  readonly bytes: readonly Buffer[];
  readonly facts: BlobFacts | undefined;
  readonly malformed: boolean;
}

/** Takes the body apart, however it is cut into chunks; holds back nothing but heads and facts. */
export class SinkFramingDecoder {
  #state: "preamble" | "head" | "bytes" | "facts-head" | "facts" | "ended" = "preamble";
  /** Bytes still missing of what `#state` names. */
  #missing = 1;
  #held: Buffer = Buffer.alloc(0);
  #facts: BlobFacts | undefined;

  push(chunk: Buffer): SinkPieces {
    const bytes: Buffer[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      const piece = rest.subarray(0, this.#missing);
      rest = rest.subarray(piece.length);
      this.#missing -= piece.length;
      if (this.#state === "bytes") bytes.push(piece);
      else this.#held = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece]);
      const wellFormed = this.#state !== "ended" && (this.#missing > 0 || this.#advance());
      if (!wellFormed) return { bytes, facts: undefined, malformed: true };
    }
    return { bytes, facts: this.#facts, malformed: false };
  }

  /** Goes on after a whole preamble, head, run of bytes, or facts; false when it cannot be what it should. */
  #advance(): boolean {
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    switch (this.#state) {
      case "preamble":
        return held[0] === 1 && this.#expect("head", 4);
      case "head": {
        const sizeBytes = held.readUInt32BE(0);
        return sizeBytes === 0 ? this.#expect("facts-head", 2) : this.#expect("bytes", sizeBytes);
      }
      case "bytes":
        return this.#expect("head", 4);
      case "facts-head":
        return held.readUInt16BE(0) > 0 && this.#expect("facts", held.readUInt16BE(0));
      case "facts":
        this.#facts = decodeFacts(held);
        return this.#facts !== undefined && this.#expect("ended", 0);
      case "ended":
        return false;
    }
  }

  #expect(state: "head" | "bytes" | "facts-head" | "facts" | "ended", missing: number): boolean {
    this.#state = state;
    this.#missing = missing;
    return true;
  }
}
