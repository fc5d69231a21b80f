import { crc32 } from "node:zlib";
import { z } from "zod";
import {
  type BackupId,
  type ClusterId,
  type Incarnation,
  type LogIndex,
  logIndex,
  type NodeId,
  parseBackupId,
  parseClusterId,
  parseIncarnation,
  parseNodeId,
  term as parseTerm,
  type Term,
} from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";

/** The last entry that may have been promised to others: its index, and the chain hash that ties it to all before. */
export interface Claim {
  readonly index: LogIndex;
  /** 32 hexadecimal digits, see `entry-codec.ts`. */
  readonly chain: string;
}

/**
 * What this node may have promised and does not hold any more. `entries`: some up to the claim; the claim stays as it
 * was until the log reaches it again. `claim`: the newest slot was damaged, so the claim itself may be too low, and only
 * the consensus core can tell when all is well.
 */
export type Lost = "nothing" | "entries" | "claim";

/** Everything in the hard-state file. */
export interface StoredState {
  readonly nodeId: NodeId;
  readonly incarnation: Incarnation;
  readonly clusterId: ClusterId | undefined;
  readonly boots: number;
  readonly term: Term;
  readonly votedFor: NodeId | undefined;
  readonly promised: Claim;
  readonly lost: Lost;
  /** The `<n>` of `log-<n>` and `catalog-<n>`; 0 while there is none. */
  readonly logGeneration: number;
  readonly catalogGeneration: number;
  /** The catalog of this generation is damaged and must not be used. */
  readonly catalogCondemned: boolean;
  /** The backup that the catalog came from, until this node's replicas were compared with it. */
  readonly restored: BackupId | undefined;
}

export const slotBytes = 512;
const headerBytes = 20;
const magic = 0x44_50_48_31; // "DPH1"

/**
 * One slot of the hard-state file, always 512 bytes:
 *
 *    0  4  magic "DPH1"
 *    4  4  CRC32 of all that follows, up to the end of the slot
 *    8  8  sequence number: the slot with the higher one counts
 *   16  4  length of the JSON
 *   20  …  JSON, then zeros
 */
export function encodeSlot(sequence: number, state: StoredState): Buffer {
  const slot = Buffer.alloc(slotBytes);
  const json = JSON.stringify(state);
  invariant(headerBytes + json.length <= slotBytes, () => `hard state of ${json.length} bytes does not fit its slot`);
  slot.writeUInt32BE(magic, 0);
  slot.writeBigUInt64BE(BigInt(sequence), 8);
  slot.writeUInt32BE(json.length, 16);
  slot.write(json, headerBytes, "latin1");
  slot.writeUInt32BE(crc32(slot.subarray(8)), 4);
  return slot;
}

/** The slot's content, or undefined when it is damaged. */
export function decodeSlot(slot: Uint8Array): { readonly sequence: number; readonly state: StoredState } | undefined {
  if (slot.byteLength !== slotBytes) return undefined;
  const bytes = Buffer.from(slot.buffer, slot.byteOffset, slot.byteLength);
  if (bytes.readUInt32BE(0) !== magic || bytes.readUInt32BE(4) !== crc32(bytes.subarray(8))) return undefined;
  const length = bytes.readUInt32BE(16);
  if (headerBytes + length > slotBytes) return undefined;
  const parsed = storedState.safeParse(parseJson(bytes.toString("latin1", headerBytes, headerBytes + length)));
  return parsed.success ? { sequence: Number(bytes.readBigUInt64BE(8)), state: parsed.data } : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // there is no other error than bad syntax
  }
}

const whole = z.int().nonnegative();
const nodeId = z.string().transform((text, context) => parseNodeId(text) ?? refuse(context));
const incarnation = z.string().transform((text, context) => parseIncarnation(text) ?? refuse(context));
const clusterId = z.string().transform((text, context) => parseClusterId(text) ?? refuse(context));
const backupId = z.string().transform((text, context) => parseBackupId(text) ?? refuse(context));

function refuse(context: z.core.$RefinementCtx): never {
  context.addIssue({ code: "custom", message: "not an id" });
  return z.NEVER;
}

const storedState = z
  .strictObject({
    nodeId,
    incarnation,
    clusterId: clusterId.optional(),
    boots: whole,
    term: whole.transform(parseTerm),
    votedFor: nodeId.optional(),
    promised: z.strictObject({ index: whole.transform(logIndex), chain: z.string().regex(/^[0-9a-f]{32}$/) }),
    lost: z.enum(["nothing", "entries", "claim"]),
    logGeneration: whole,
    catalogGeneration: whole,
    catalogCondemned: z.boolean(),
    restored: backupId.optional(),
  })
  .transform(
    (state): StoredState => ({
      ...state,
      clusterId: state.clusterId,
      votedFor: state.votedFor,
      restored: state.restored,
    }),
  );
