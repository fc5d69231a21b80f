import { randomBytes } from "node:crypto";
import { type NodeId, parseIncarnation } from "../base/ids.ts";
import { type Caller, type Membership, type SignedCall } from "./membership.ts";
import type { PeerDirectory } from "./types.ts";

/**
 * How a stream begins. The dialer is checked before it is told anything, then each side proves over both nonces, so a
 * recorded handshake is worth nothing.
 *
 *   dialer                                                              acceptor
 *     │  GET /peer/stream, Upgrade, Authorization (a call proof)  ────►  stranger: 401, not a member: 403
 *     │  ◄────  101, Deposito-Peer-Accept: <incarnation> <nonce> <mac>   "accept" proof over the transcript
 *     │  32 bytes: "dial" proof over the transcript               ────►  wrong: closed
 *     │  ◄────  a pong frame: welcome                                    from here on frames
 *
 * transcript = dialer, its incarnation, acceptor, its incarnation, cluster id, dialer's nonce, acceptor's nonce.
 */
export const streamPath = "/peer/stream";
export const streamProtocol = "deposito-peer/1";
export const acceptHeader = "deposito-peer-accept";
/** Bytes of the dialer's last word. */
export const dialProofBytes = 32;

/** The acceptor's half: what it answers, and the proof it then waits for. */
export function acceptStream(
  membership: Membership,
  directory: PeerDirectory,
  caller: Caller,
): { readonly acceptHeader: string; readonly isProof: (proof: Uint8Array) => boolean } {
  const { nodeId, incarnation, clusterId } = directory.self;
  const nonce = randomBytes(16).toString("base64url");
  const transcript = [caller.nodeId, caller.incarnation, nodeId, incarnation, clusterId ?? "-", caller.nonce, nonce];
  return {
    acceptHeader: `${incarnation} ${nonce} ${membership.prove("accept", transcript).toString("base64url")}`,
    isProof: (proof) => membership.verify("dial", transcript, proof),
  };
}

/** The dialer's half: its proof, once what the acceptor answered was checked. Undefined: it is not the member that was dialed. */
export function proveDial(
  membership: Membership,
  directory: PeerDirectory,
  dialed: { readonly peer: NodeId; readonly call: SignedCall; readonly answer: string | undefined },
): Uint8Array | undefined {
  const [life, nonce, mac, ...rest] = (dialed.answer ?? "").split(" ");
  if (life === undefined || nonce === undefined || mac === undefined || rest.length > 0) return undefined;
  const incarnation = parseIncarnation(life);
  if (incarnation === undefined || !directory.admits(dialed.peer, incarnation)) return undefined;
  const { nodeId, incarnation: own, clusterId } = directory.self;
  const transcript = [nodeId, own, dialed.peer, incarnation, clusterId ?? "-", dialed.call.nonce, nonce];
  if (!membership.verify("accept", transcript, Buffer.from(mac, "base64url"))) return undefined;
  return membership.prove("dial", transcript);
}
