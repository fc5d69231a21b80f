import type { Duplex } from "node:stream";

/**
 * What waits to be written to one connection. Frames queued in one turn leave in one write. Bounded: a frame that finds
 * others waiting and no room is refused; the protocols above repeat what matters.
 */
export class FrameQueue {
  readonly #socket: Duplex;
  readonly #maxQueuedBytes: number;
  #parts: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(socket: Duplex, maxQueuedBytes: number) {
    this.#socket = socket;
    this.#maxQueuedBytes = maxQueuedBytes;
  }

  /** Bytes that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#pendingBytes + this.#socket.writableLength;
  }

  /** False when the frame was refused. A frame larger than the bound is taken when nothing else waits. */
  offer(frame: readonly Uint8Array[]): boolean {
    if (!this.#socket.writable) return false;
    const queuedBytes = this.queuedBytes;
    if (queuedBytes > 0 && queuedBytes + bytesOf(frame) > this.#maxQueuedBytes) return false;
    this.add(frame);
    return true;
  }

  /** Queues the frame whatever waits; for the few that tell a slow connection from a dead one. */
  add(frame: readonly Uint8Array[]): void {
    if (this.#parts.length === 0) process.nextTick(() => this.#flush());
    this.#parts.push(...frame);
    this.#pendingBytes += bytesOf(frame);
  }

  #flush(): void {
    const parts = this.#parts;
    const sizeBytes = this.#pendingBytes;
    this.#parts = [];
    this.#pendingBytes = 0;
    if (!this.#socket.writable) return;
    if (sizeBytes <= joinUpToBytes) {
      this.#socket.write(parts.length === 1 ? parts[0] : Buffer.concat(parts, sizeBytes));
      return;
    }
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  }
}

function bytesOf(frame: readonly Uint8Array[]): number {
  let sizeBytes = 0;
  for (const part of frame) sizeBytes += part.length;
  return sizeBytes;
}

/** Up to here one copy is cheaper than a vector of many parts. */
const joinUpToBytes = 64 * 1024;
