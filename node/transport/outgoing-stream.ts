import type { Socket } from "node:net";
import type { NodeId } from "../base/ids.ts";
import { encodeFrame } from "./frame-codec.ts";
import { FrameQueue, laneOf } from "./frame-queue.ts";
import type { StreamContext } from "./stream-context.ts";
import { type DialedStream, dialPeer, socketErrorCode } from "./stream-dial.ts";
import type { PeerFrame } from "./types.ts";

/**
 * This node's own stream to one peer: dialed again whenever it is gone.
 *
 *   dialing ──welcomed──► connected ──closed──► dialing, at once
 *      └──failed──► waiting 20 ms … 500 ms ──► dialing
 */
export class OutgoingStream {
  readonly #peer: NodeId;
  readonly #context: StreamContext;
  readonly #closing = new AbortController();
  #connection: { readonly socket: Socket; readonly queue: FrameQueue; readonly sinceMs: number } | undefined;
  #waitMs = firstWaitMs;
  #cancelTimer: () => void = () => {};
  #wasConnected = false;
  #unanswered = 0;

  constructor(peer: NodeId, context: StreamContext) {
    this.#peer = peer;
    this.#context = context;
    this.#dial();
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  /** Bytes of frames that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#connection?.queue.queuedBytes ?? 0;
  }

  send(frame: PeerFrame): boolean {
    return this.#connection?.queue.offer(encodeFrame(frame), laneOf(frame)) ?? false;
  }

  /** Ends the stream for good, without an event. */
  close(): void {
    this.#closing.abort(new Error("closed"));
    this.#cancelTimer();
    this.#connection?.socket.destroy();
    this.#connection = undefined;
  }

  #dial(): void {
    const { directory, membership, clock, timing } = this.#context;
    const address = directory.peers().find((peer) => peer.id === this.#peer)?.address;
    if (address === undefined || directory.self.clusterId === undefined) {
      this.#dialAfter(lastWaitMs);
      return;
    }
    dialPeer({
      peer: this.#peer,
      address,
      membership,
      directory,
      clock,
      handshakeMs: timing.handshakeMs,
      signal: this.#closing.signal,
    }).then(
      (stream) => this.#connected(stream),
      (error: unknown) => this.#failed(error),
    );
  }

  #connected({ socket, decoder }: DialedStream): void {
    const { events, clock, logger, maxQueuedBytes } = this.#context;
    if (this.#closing.signal.aborted || socket.destroyed) {
      socket.destroy();
      this.#failed(new Error("closed during the handshake"));
      return;
    }
    this.#connection = {
      socket,
      queue: new FrameQueue(socket, maxQueuedBytes),
      sinceMs: clock.monotonicMs(),
    };
    this.#wasConnected = true;
    this.#unanswered = 0;
    socket.on("data", (chunk: Buffer) => {
      const { frames, malformed } = decoder.push(chunk);
      this.#unanswered = 0;
      if (malformed || frames.some((frame) => frame.type !== "pong")) socket.destroy();
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => this.#lost());
    socket.resume();
    this.#ping();
    logger.debug({ peer: this.#peer }, "stream connected");
    events.connected(this.#peer);
  }

  /** A stopped process and a cut cable look alike: nothing comes back. Counted, not timed, so that an own pause is not blamed on the peer. */
  #ping(): void {
    const { clock, timing, logger } = this.#context;
    this.#cancelTimer = clock.after(timing.pingMs, () => {
      if (this.#connection === undefined) return;
      if (this.#unanswered >= timing.maxUnansweredPings) {
        logger.warn({ peer: this.#peer }, "stream is silent: dialing anew");
        this.#connection.socket.destroy();
        return;
      }
      this.#unanswered += 1;
      this.#connection.queue.add(encodeFrame({ type: "ping" }), "urgent");
      this.#ping();
    });
  }

  #lost(): void {
    if (this.#closing.signal.aborted || this.#connection === undefined) return;
    const { events, clock, logger } = this.#context;
    const livedMs = clock.monotonicMs() - this.#connection.sinceMs;
    this.#connection = undefined;
    this.#cancelTimer();
    logger.debug({ peer: this.#peer }, "stream lost");
    events.disconnected(this.#peer);
    // A peer whose process ended is to be noticed within milliseconds; one that closes what it just accepted is not to be flooded.
    if (livedMs >= settledMs) {
      this.#waitMs = firstWaitMs;
      this.#dial();
    } else {
      this.#dialLater();
    }
  }

  #failed(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    const { events, logger } = this.#context;
    logger.debug({ peer: this.#peer, err: error }, "stream not opened");
    this.#dialLater();
    if (this.#wasConnected && socketErrorCode(error) === "ECONNREFUSED") events.refused(this.#peer);
  }

  #dialLater(): void {
    const jitter = 0.5 + this.#context.random() / 2;
    this.#dialAfter(this.#waitMs * jitter);
    this.#waitMs = Math.min(this.#waitMs * 2, lastWaitMs);
  }

  #dialAfter(delayMs: number): void {
    this.#cancelTimer = this.#context.clock.after(delayMs, () => this.#dial());
  }
}

const firstWaitMs = 20;
const lastWaitMs = 500;
/** A stream that lived this long ended for a reason of its own. */
const settledMs = 100;
