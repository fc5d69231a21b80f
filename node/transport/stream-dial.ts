import { request as httpRequest, type IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import type { Address } from "../catalog/types.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import type { Membership } from "./membership.ts";
import { acceptHeader, proveDial, streamPath, streamProtocol } from "./stream-handshake.ts";
import type { PeerDirectory } from "./types.ts";

/** A stream whose two ends have proved who they are; paused, so that nothing is missed before it is listened to. */
export interface DialedStream {
  readonly socket: Socket;
  readonly decoder: FrameDecoder;
}

export interface DialOptions {
  readonly peer: NodeId;
  readonly address: Address;
  readonly membership: Membership;
  readonly directory: PeerDirectory;
  readonly clock: Clock;
  readonly handshakeMs: number;
  readonly signal: AbortSignal;
}

/**
 * Opens a stream to `peer`.
 * @throws {DepositoError} `peer-unreachable`, the socket's error as its cause; `not-a-member` when one side refused the other.
 */
export async function dialPeer(options: DialOptions): Promise<DialedStream> {
  const deadline = new AbortController();
  const signal = AbortSignal.any([options.signal, deadline.signal]);
  const cancelDeadline = options.clock.after(options.handshakeMs, () =>
    deadline.abort(new Error("handshake timed out")),
  );
  try {
    const { socket, proof, head } = await upgrade(options, signal);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.write(proof);
    return await welcome(socket, head, signal);
  } catch (error) {
    if (error instanceof DepositoError) throw error;
    throw new DepositoError("peer-unreachable", `no stream to node ${options.peer}`, { cause: error });
  } finally {
    cancelDeadline();
  }
}

/** The code of the socket error behind a failed dial, such as `ECONNREFUSED`. */
export function socketErrorCode(error: unknown): string | undefined {
  const cause = error instanceof DepositoError ? error.cause : error;
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
}

interface Upgraded {
  readonly socket: Socket;
  readonly head: Buffer;
  readonly proof: Uint8Array;
}

function upgrade(options: DialOptions, signal: AbortSignal): Promise<Upgraded> {
  const { peer, address, membership, directory } = options;
  const call = membership.signCall({ to: peer, method: "GET", path: streamPath });
  const request = httpRequest({
    host: address.host,
    port: address.port,
    path: streamPath,
    agent: false,
    signal,
    headers: { Connection: "Upgrade", Upgrade: streamProtocol, Authorization: call.authorization },
  });
  return new Promise((resolve, reject) => {
    // Stays attached: a socket may fail again after its first error.
    request.on("error", reject);
    request.on("response", (response) => {
      request.destroy();
      reject(new DepositoError("not-a-member", `node ${peer} answered ${response.statusCode} to a stream`));
    });
    request.on("upgrade", (response: IncomingMessage, duplex: Duplex, head: Buffer) => {
      duplex.on("error", reject);
      const answer = response.headers[acceptHeader];
      const proof = proveDial(membership, directory, {
        peer,
        call,
        answer: typeof answer === "string" ? answer : undefined,
      });
      if (proof !== undefined && duplex instanceof Socket) {
        resolve({ socket: duplex, head, proof });
        return;
      }
      duplex.destroy();
      reject(new DepositoError("not-a-member", `who answered in place of node ${peer} did not prove to be it`));
    });
    request.end();
  });
}

/** Waits for the first frame, a pong: the acceptor has checked the proof. */
function welcome(socket: Socket, head: Buffer, signal: AbortSignal): Promise<DialedStream> {
  const decoder = new FrameDecoder();
  return new Promise((resolve, reject) => {
    const stop = () => {
      socket.off("data", onData);
      socket.off("close", onClose);
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (error: unknown) => {
      stop();
      socket.destroy();
      reject(error);
    };
    const onClose = () => fail(new Error("closed during the handshake"));
    const onAbort = () => fail(signal.reason);
    const onData = (chunk: Buffer) => {
      const { frames, malformed } = decoder.push(chunk);
      if (malformed || frames.some((frame) => frame.type !== "pong")) fail(new Error("malformed welcome"));
      if (frames.length === 0) return;
      stop();
      socket.pause();
      resolve({ socket, decoder });
    };
    socket.on("data", onData);
    socket.on("close", onClose);
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    else if (head.length > 0) onData(head);
  });
}

const keepAliveMs = 5_000;
