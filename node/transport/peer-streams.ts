import { once } from "node:events";
import { type IncomingMessage, STATUS_CODES } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock, Random } from "../base/clock.ts";
import type { NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { Counter, Gauge, type Metrics } from "../base/metrics.ts";
import { admitStream, IncomingStream } from "./incoming-stream.ts";
import { Membership } from "./membership.ts";
import { OutgoingStream } from "./outgoing-stream.ts";
import { type PeerProblemCode, peerProblem } from "./peer-problem.ts";
import type { StreamContext, StreamTiming } from "./stream-context.ts";
import type { PeerDirectory, PeerFrame, PeerStreamEvents, PeerStreams } from "./types.ts";

/**
 * The streams between this node and its peers. Each node dials every peer and sends on the stream it dialed; on the ones
 * that were dialed to it, it only receives. So a pair has two, each with one writer, and nobody must agree which to keep.
 *
 *   n1 ═══ frames of n1 ═══► n2          the acceptor answers pings, nothing else
 *   n1 ◄══ frames of n2 ════ n2
 */
export interface AcceptingPeerStreams extends PeerStreams {
  /** Takes over the connection of an HTTP upgrade request, whoever made it: strangers are refused and closed. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface PeerStreamsOptions {
  readonly directory: PeerDirectory;
  readonly secret: string;
  readonly events: PeerStreamEvents;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics | undefined;
  /** Beyond this many waiting bytes, frames for that peer are dropped. */
  readonly maxQueuedBytes: number;
}

/** Starts dialing every peer at once, and goes on until closed. */
export function createPeerStreams(options: PeerStreamsOptions, timing = streamTiming): AcceptingPeerStreams {
  return new Streams(options, timing);
}

class Streams implements AcceptingPeerStreams {
  readonly #context: StreamContext;
  readonly #outgoing = new Map<NodeId, OutgoingStream>();
  readonly #incoming = new Map<NodeId, IncomingStream>();
  readonly #sockets = new Set<Duplex>();
  readonly #counters: StreamCounters | undefined;
  #cancelRefresh: () => void = () => {};
  #closed = false;

  constructor(options: PeerStreamsOptions, timing: StreamTiming) {
    const { directory, events, clock, random, logger } = options;
    const membership = new Membership({ secret: options.secret, directory });
    const { maxQueuedBytes } = options;
    this.#context = { membership, directory, events, clock, random, logger, maxQueuedBytes, timing };
    this.#counters = options.metrics && streamCounters(options.metrics, () => this.#outgoing);
    this.#refresh();
  }

  send(to: NodeId, frame: PeerFrame): boolean {
    const sent = this.#outgoing.get(to)?.send(frame) ?? false;
    if (sent) this.#counters?.sent.inc({ peer: to });
    else this.#counters?.dropped.inc({ peer: to });
    return sent;
  }

  isConnected(to: NodeId): boolean {
    return this.#outgoing.get(to)?.isConnected ?? false;
  }

  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A socket may fail at any time from here on; without a listener that would end the process.
    socket.on("error", (error) => this.#context.logger.debug({ err: error }, "stream failed"));
    const admitted = admitStream(this.#context, request);
    if (this.#closed || !("caller" in admitted)) {
      const { code, detail } = "caller" in admitted ? closing : admitted;
      refuse(socket, code, detail);
      return;
    }
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    if (socket instanceof Socket) {
      socket.setNoDelay(true);
      // The dialer pings; a socket silent for so long was left behind by it.
      const { pingMs, maxUnansweredPings } = this.#context.timing;
      socket.setTimeout(2 * pingMs * (maxUnansweredPings + 1), () => socket.destroy());
    }
    new IncomingStream({
      context: this.#context,
      caller: admitted.caller,
      socket,
      head,
      onProved: (stream) => this.#replaceIncoming(stream, socket),
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRefresh();
    for (const stream of this.#outgoing.values()) stream.close();
    this.#outgoing.clear();
    await Promise.all(
      [...this.#sockets].map(async (socket) => {
        socket.destroy();
        if (!socket.closed) await once(socket, "close");
      }),
    );
  }

  /** A peer that dials again has lost or given up its former stream. */
  #replaceIncoming(stream: IncomingStream, socket: Duplex): void {
    const { nodeId } = stream.caller;
    this.#incoming.get(nodeId)?.destroy();
    this.#incoming.set(nodeId, stream);
    socket.on("close", () => {
      if (this.#incoming.get(nodeId) === stream) this.#incoming.delete(nodeId);
    });
  }

  /** Follows the directory: streams to new peers begin, those to former ones end. */
  #refresh(): void {
    const { directory, clock } = this.#context;
    const wanted = new Set(directory.peers().map((peer) => peer.id));
    wanted.delete(directory.self.nodeId);
    for (const [peer, stream] of this.#outgoing) {
      if (wanted.has(peer)) continue;
      stream.close();
      this.#outgoing.delete(peer);
    }
    for (const peer of wanted) {
      if (!this.#outgoing.has(peer)) this.#outgoing.set(peer, new OutgoingStream(peer, this.#context));
    }
    this.#cancelRefresh = clock.after(refreshMs, () => this.#refresh());
  }
}

function refuse(socket: Duplex, code: PeerProblemCode, detail: string): void {
  const problem = peerProblem(code, detail);
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\nContent-Type: application/problem+json\r\nConnection: close\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

interface StreamCounters {
  readonly sent: Counter<"peer">;
  readonly dropped: Counter<"peer">;
}

function streamCounters(metrics: Metrics, outgoing: () => ReadonlyMap<NodeId, OutgoingStream>): StreamCounters {
  const of = { labelNames: ["peer"] as const, registers: [metrics] };
  new Gauge({
    ...of,
    name: "deposito_peer_connected",
    help: "1 while this node's stream to the peer is open",
    collect() {
      this.reset();
      for (const [peer, stream] of outgoing()) this.set({ peer }, stream.isConnected ? 1 : 0);
    },
  });
  new Gauge({
    ...of,
    name: "deposito_peer_queue_bytes",
    help: "bytes of frames for the peer that its connection has not taken yet",
    collect() {
      this.reset();
      for (const [peer, stream] of outgoing()) this.set({ peer }, stream.queuedBytes);
    },
  });
  return {
    sent: new Counter({ ...of, name: "deposito_peer_frames_sent_total", help: "frames queued for the peer" }),
    dropped: new Counter({
      ...of,
      name: "deposito_peer_frames_dropped_total",
      help: "frames dropped: no stream to the peer, or too much waiting for it",
    }),
  };
}

const streamTiming: StreamTiming = { handshakeMs: 3_000, pingMs: 1_000, maxUnansweredPings: 4 };
const refreshMs = 1_000;
const closing = { code: "no-quorum", detail: "this node is stopping" } as const;
