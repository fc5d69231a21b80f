import type { Duplex } from "node:stream";
import type { WireFrame } from "./frame-codec.ts";

/**
 * What waits to be written to one connection.
 *
 *   urgent   votes, acknowledgements, reads, statuses ──┐
 *   bulk     appends, proposals, heartbeats           ──┴─► socket, 256 KiB at a time ─► kernel
 *
 * Frames queued in one turn leave in one write; urgent ones overtake bulk ones that the socket has not got yet. Bounded: a
 * frame with too much before it is refused; the protocols above repeat what matters.
 */
export class FrameQueue {
  readonly #socket: Duplex;
  readonly #maxQueuedBytes: number;
  readonly #lanes: Readonly<Record<Lane, Waiting>> = {
    urgent: { frames: [], sizeBytes: 0 },
    bulk: { frames: [], sizeBytes: 0 },
  };
  /** A flush is due in this turn, or once the socket has written what it got. */
  #isFlushDue = false;

  constructor(socket: Duplex, maxQueuedBytes: number) {
    this.#socket = socket;
    this.#maxQueuedBytes = maxQueuedBytes;
  }

  /** Bytes that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#lanes.bulk.sizeBytes + this.#bytesBefore("urgent");
  }

  /** False when the frame was refused. A frame larger than the bound is taken when nothing waits before it. */
  offer(frame: EncodedFrame, lane: Lane): boolean {
    if (!this.#socket.writable) return false;
    const beforeBytes = lane === "urgent" ? this.#bytesBefore(lane) : this.queuedBytes;
    if (beforeBytes > 0 && beforeBytes + bytesOf(frame) > this.#maxQueuedBytes) return false;
    this.add(frame, lane);
    return true;
  }

  /** Queues the frame whatever waits; for the few that tell a slow connection from a dead one. */
  add(frame: EncodedFrame, lane: Lane): void {
    const waiting = this.#lanes[lane];
    waiting.frames.push(frame);
    waiting.sizeBytes += bytesOf(frame);
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    process.nextTick(() => this.#flush());
  }

  #bytesBefore(lane: Lane): number {
    return this.#lanes[lane].sizeBytes + this.#socket.writableLength;
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (!this.#socket.writable) return;
    const { urgent, bulk } = this.#lanes;
    const parts: Uint8Array[] = [];
    const urgentBytes = take(urgent, handOverBytes, parts);
    const sizeBytes = urgentBytes + take(bulk, handOverBytes - urgentBytes, parts);
    this.#write(parts, sizeBytes);
    if (urgent.frames.length === 0 && bulk.frames.length === 0) return;
    // More than the socket's high-water mark was written, so it will say when that is gone.
    this.#isFlushDue = true;
    this.#socket.once("drain", () => this.#flush());
  }

  #write(parts: readonly Uint8Array[], sizeBytes: number): void {
    if (sizeBytes <= joinUpToBytes) {
      this.#socket.write(parts.length === 1 ? parts[0] : Buffer.concat(parts, sizeBytes));
      return;
    }
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  }
}

/** A frame as `encodeFrame` makes it. */
type EncodedFrame = readonly Uint8Array[];
type Lane = "urgent" | "bulk";

interface Waiting {
  frames: EncodedFrame[];
  sizeBytes: number;
}

/**
 * Heartbeats stay behind appends: an append says as well that the leader lives, and the answer to a heartbeat tells the leader
 * that what it sent before has arrived or is lost.
 */
export function laneOf(frame: WireFrame): Lane {
  if (frame.type === "proposals") return "bulk";
  return frame.type === "raft" && bulkMessages.has(frame.message.type) ? "bulk" : "urgent";
}

const bulkMessages: ReadonlySet<string> = new Set(["append-request", "heartbeat-request", "install-snapshot-request"]);

/** Moves frames into `parts` until these are about `maxBytes`; one at least while there is room at all. */
function take(waiting: Waiting, maxBytes: number, parts: Uint8Array[]): number {
  let count = 0;
  let takenBytes = 0;
  for (const frame of waiting.frames) {
    if (takenBytes >= maxBytes) break;
    for (const part of frame) parts.push(part);
    takenBytes += bytesOf(frame);
    count += 1;
  }
  waiting.frames.splice(0, count);
  waiting.sizeBytes -= takenBytes;
  return takenBytes;
}

function bytesOf(frame: EncodedFrame): number {
  let sizeBytes = 0;
  for (const part of frame) sizeBytes += part.length;
  return sizeBytes;
}

/** Up to here one copy is cheaper than a vector of many parts. */
const joinUpToBytes = 64 * 1024;
/** More than a socket's high-water mark, so that it tells when it has written that much. */
const handOverBytes = 256 * 1024;
