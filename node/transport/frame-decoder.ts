import { decodeFrame, maxFrameBytes, type WireFrame } from "./frame-codec.ts";

/** The frames that a chunk completed, in order; `malformed` when the connection must be closed after them. */
export interface DecodedFrames {
  readonly frames: readonly WireFrame[];
  readonly malformed: boolean;
}

/**
 * Cuts a byte stream into frames, however it was cut into chunks. A frame that arrived in many chunks is put together
 * once, when its last byte is there; a frame inside one chunk is a view of it.
 */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #waitingBytes = 0;
  #malformed = false;

  push(chunk: Buffer): DecodedFrames {
    const frames: WireFrame[] = [];
    if (this.#malformed) return { frames, malformed: true };
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    for (;;) {
      const length = this.#nextLength();
      if (length === undefined) break;
      if (length === 0 || length > maxFrameBytes) {
        this.#malformed = true;
        break;
      }
      if (this.#waitingBytes < 4 + length) break;
      const frame = decodeFrame(this.#take(4 + length).subarray(4));
      if (frame === undefined) {
        this.#malformed = true;
        break;
      }
      frames.push(frame);
    }
    return { frames, malformed: this.#malformed };
  }

  #nextLength(): number | undefined {
    if (this.#waitingBytes < 4) return undefined;
    const first = this.#chunks[0] as Buffer;
    if (first.length >= 4) return first.readUInt32BE(0);
    // Only a length field torn over chunks comes here: the few bytes before it are joined with what follows.
    let head = Buffer.alloc(0);
    for (let at = 0; head.length < 4; at += 1) head = Buffer.concat([head, this.#chunks[at] as Buffer]);
    return head.readUInt32BE(0);
  }

  /** The next `sizeBytes` bytes, which are there. */
  #take(sizeBytes: number): Buffer {
    this.#waitingBytes -= sizeBytes;
    const first = this.#chunks[0] as Buffer;
    if (first.length > sizeBytes) {
      this.#chunks[0] = first.subarray(sizeBytes);
      return first.subarray(0, sizeBytes);
    }
    let covered = 0;
    let count = 0;
    while (covered < sizeBytes) {
      covered += (this.#chunks[count] as Buffer).length;
      count += 1;
    }
    const parts = this.#chunks.slice(0, count);
    const last = parts[count - 1] as Buffer;
    const surplus = covered - sizeBytes;
    this.#chunks = this.#chunks.slice(count);
    if (surplus > 0) {
      parts[count - 1] = last.subarray(0, last.length - surplus);
      this.#chunks.unshift(last.subarray(last.length - surplus));
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, sizeBytes);
  }
}
