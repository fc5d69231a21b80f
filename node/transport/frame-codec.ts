import { invariant } from "../base/invariant.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { decodeRaftMessage, encodeRaftMessage } from "./raft-codec.ts";
import { decodeStatus, encodeStatus } from "./status-codec.ts";
import type { PeerFrame } from "./types.ts";

/**
 * Frames of the stream between two nodes:
 *
 *   u32 length of the rest │ u8 type │ payload
 *
 *   1 raft       raft-codec.ts
 *   2 proposals  u32 count, count × (u32 length, bytes)
 *   3 status     status-codec.ts
 *   4 ping, 5 pong   empty; tell a silent connection from a dead one
 *
 * The length is bounded, and believed before anything is allocated for it only that far.
 */
export type WireFrame = PeerFrame | { readonly type: "ping" } | { readonly type: "pong" };

/** The largest frame, its length field not counted. */
export const maxFrameBytes = 16 * 1024 * 1024;

/** The frame as it goes over the wire. */
export function encodeFrame(frame: WireFrame): readonly Uint8Array[] {
  switch (frame.type) {
    case "raft":
      return framed(1, encodeRaftMessage(frame.message));
    case "proposals":
      return framed(2, encodeProposals(frame.proposals));
    case "status":
      return framed(3, encodeStatus(frame.status));
    case "ping":
      return framed(4, empty);
    case "pong":
      return framed(5, empty);
  }
}

/** The frame in `body` (type and payload, without the length), or undefined when it is malformed. */
export function decodeFrame(body: Buffer): WireFrame | undefined {
  const payload = body.subarray(1);
  switch (body[0]) {
    case 1: {
      const message = decodeRaftMessage(payload);
      return message && { type: "raft", message };
    }
    case 2: {
      const proposals = decodeProposals(payload);
      return proposals && { type: "proposals", proposals };
    }
    case 3: {
      const status = decodeStatus(payload);
      return status && { type: "status", status };
    }
    case 4:
      return payload.length === 0 ? { type: "ping" } : undefined;
    case 5:
      return payload.length === 0 ? { type: "pong" } : undefined;
    default:
      return undefined;
  }
}

function framed(type: number, payload: Buffer): readonly Uint8Array[] {
  invariant(payload.length < maxFrameBytes, () => `a frame of type ${type} with ${payload.length} bytes`);
  if (payload.length <= copyUpToBytes) {
    const writer = new ByteWriter(5 + payload.length);
    return [
      writer
        .u32(1 + payload.length)
        .u8(type)
        .raw(payload)
        .finish(),
    ];
  }
  return [
    new ByteWriter(5)
      .u32(1 + payload.length)
      .u8(type)
      .finish(),
    payload,
  ];
}

function encodeProposals(proposals: readonly Uint8Array[]): Buffer {
  let sizeBytes = 4;
  for (const proposal of proposals) sizeBytes += 4 + proposal.length;
  const writer = new ByteWriter(sizeBytes).u32(proposals.length);
  for (const proposal of proposals) writer.u32(proposal.length).raw(proposal);
  return writer.finish();
}

function decodeProposals(payload: Buffer): readonly Uint8Array[] | undefined {
  const reader = new ByteReader(payload);
  const count = reader.u32();
  if (count * 4 > reader.remaining) return undefined;
  const proposals: Uint8Array[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) proposals.push(reader.raw(reader.u32()));
  return reader.complete ? proposals : undefined;
}

/** Below this a payload is copied behind its head; above, two writes are cheaper than the copy. */
const copyUpToBytes = 16 * 1024;
const empty = Buffer.alloc(0);
