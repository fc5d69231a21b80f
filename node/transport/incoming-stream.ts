import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { encodeFrame, type WireFrame } from "./frame-codec.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import { FrameQueue } from "./frame-queue.ts";
import type { Caller } from "./membership.ts";
import type { PeerProblemCode } from "./peer-problem.ts";
import type { StreamContext } from "./stream-context.ts";
import { acceptHeader, acceptStream, dialProofBytes, streamPath, streamProtocol } from "./stream-handshake.ts";

/** One stream that a peer dialed: its frames come in, nothing but pongs goes back. */
export class IncomingStream {
  readonly caller: Caller;
  readonly #context: StreamContext;
  readonly #socket: Duplex;
  readonly #decoder = new FrameDecoder();
  readonly #answers: FrameQueue;
  readonly #isProof: (proof: Uint8Array) => boolean;
  readonly #onProved: (stream: IncomingStream) => void;
  readonly #cancelDeadline: () => void;
  /** What came of the proof so far; undefined once it was checked. */
  #proof: Buffer | undefined = Buffer.alloc(0);

  constructor(options: {
    readonly context: StreamContext;
    readonly caller: Caller;
    readonly socket: Duplex;
    readonly head: Buffer;
    readonly onProved: (stream: IncomingStream) => void;
  }) {
    const { context, caller, socket } = options;
    this.caller = caller;
    this.#context = context;
    this.#socket = socket;
    this.#onProved = options.onProved;
    this.#answers = new FrameQueue(socket, maxAnswerBytes);
    const accepted = acceptStream(context.membership, context.directory, caller);
    this.#isProof = accepted.isProof;
    this.#cancelDeadline = context.clock.after(context.timing.handshakeMs, () => this.destroy());
    socket.on("close", this.#cancelDeadline);
    socket.on("end", () => this.destroy());
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${streamProtocol}\r\n` +
        `${acceptHeader}: ${accepted.acceptHeader}\r\n\r\n`,
    );
    if (options.head.length > 0) this.#receive(options.head);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    if (this.#proof === undefined) {
      this.#decode(chunk);
      return;
    }
    const bytes = Buffer.concat([this.#proof, chunk]);
    if (bytes.length < dialProofBytes) {
      this.#proof = bytes;
      return;
    }
    this.#proof = undefined;
    this.#cancelDeadline();
    if (!this.#isProof(bytes.subarray(0, dialProofBytes))) {
      this.#context.logger.warn({ peer: this.caller.nodeId }, "stream closed: its dialer did not prove itself");
      this.destroy();
      return;
    }
    this.#onProved(this);
    this.#answers.offer(encodeFrame({ type: "pong" }), "urgent");
    if (bytes.length > dialProofBytes) this.#decode(bytes.subarray(dialProofBytes));
  }

  #decode(chunk: Buffer): void {
    const { directory, logger } = this.#context;
    const { nodeId, incarnation } = this.caller;
    // It was one when it dialed. What a node that was removed still says must not be taken for the word of a later life.
    if (!directory.admits(nodeId, incarnation)) {
      logger.info({ peer: nodeId }, "stream closed: its dialer is no member any more");
      this.destroy();
      return;
    }
    const { frames, malformed } = this.#decoder.push(chunk);
    for (const frame of frames) {
      // A handler may close this stream, or a newer one of the same peer may have replaced it.
      if (this.#socket.destroyed) return;
      if (!this.#deliver(frame)) return this.#reject();
    }
    if (malformed) this.#reject();
  }

  #deliver(frame: WireFrame): boolean {
    switch (frame.type) {
      case "ping":
        this.#answers.offer(encodeFrame({ type: "pong" }), "urgent");
        return true;
      case "pong":
        return false;
      case "status":
        if (frame.status.node !== this.caller.nodeId) return false;
        this.#context.events.frame(this.caller.nodeId, frame);
        return true;
      case "raft":
      case "proposals":
        this.#context.events.frame(this.caller.nodeId, frame);
        return true;
    }
  }

  #reject(): void {
    this.#context.logger.warn({ peer: this.caller.nodeId }, "stream closed: malformed frame");
    this.destroy();
  }
}

/** Checks a request to open a stream. Anything but a caller is the problem to refuse it with. */
export function admitStream(
  context: StreamContext,
  request: IncomingMessage,
): { readonly caller: Caller } | { readonly code: PeerProblemCode; readonly detail: string } {
  const { membership } = context;
  const caller = membership.checkCall({
    authorization: request.headers.authorization,
    method: request.method ?? "",
    path: request.url ?? "",
  });
  if (caller === undefined) return { code: "unauthenticated", detail: "only members of the group may open a stream" };
  const reason = membership.whyNotMember(caller);
  if (reason !== undefined) return { code: "not-a-member", detail: reason };
  if (request.url !== streamPath || request.headers.upgrade !== streamProtocol) {
    return { code: "invalid-request", detail: `only ${streamProtocol} at ${streamPath} can be upgraded to` };
  }
  return { caller };
}

const maxAnswerBytes = 64 * 1024;
