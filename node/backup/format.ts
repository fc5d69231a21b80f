/**
 * The metadata of a group as one file.
 *
 *   "deposito backup 1\n"
 *   frames: u8 kind │ u32 length │ payload │ u32 CRC-32
 *
 *     1 header   JSON, once, first: whose catalog this is, at which entry, with which digest
 *     2 rows     (u32 key length, u32 value length, key, value) × n, in key order, about 1 MiB; as often as it takes
 *     3 end      JSON, once, last: how many rows there were
 *
 * Each checksum covers the file from its first byte to where it stands, so a frame that is lost, doubled or moved is noticed
 * where it happens. What the rows say is checked once more, by the catalog's digest.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { DepositoError } from "../base/errors.ts";
import {
  type BackupId,
  type ClusterId,
  logIndex,
  type NodeId,
  parseClusterId,
  parseNodeId,
  term,
} from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { CatalogTotals } from "../catalog/types.ts";
import type { LogPosition } from "../raft/types.ts";

export const magic: Buffer = Buffer.from("deposito backup 1\n", "latin1");
export const frameHeadBytes = 5;
export const checksumBytes = 4;
/** Far more than a writer puts into one; a reader refuses more before it allocates anything. */
export const maxPayloadBytes = 64 << 20;

export type FrameKind = "header" | "rows" | "end";
const kinds: Readonly<Record<FrameKind, number>> = { header: 1, rows: 2, end: 3 };

export function kindCode(kind: FrameKind): number {
  return kinds[kind];
}

export function kindOf(code: number): FrameKind | undefined {
  return (Object.keys(kinds) as FrameKind[]).find((kind) => kinds[kind] === code);
}

/** What a backup says of itself. */
export interface BackupHeader {
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  /** The last entry whose changes are in it. */
  readonly applied: LogPosition;
  /** Of the catalog, hexadecimal. */
  readonly digest: string;
  readonly members: readonly NodeId[];
  readonly totals: Pick<CatalogTotals, "files" | "bytes">;
  /** RFC 3339; for people. */
  readonly madeAt: string;
}

/** Names the state that is in a backup: two of the same state are as good as one. */
export function backupId({ clusterId, applied, digest }: BackupHeader): BackupId {
  const facts = JSON.stringify([clusterId, applied.index, applied.term, digest]);
  return createHash("sha256").update(facts).digest("hex").slice(0, 32) as BackupId;
}

/** The header, or undefined when the payload is anything else. */
export function parseHeader(payload: Buffer): BackupHeader | undefined {
  return headerSchema.safeParse(parseJson(payload)).data;
}

/** How many rows there were, or undefined when the payload is anything else. */
export function parseEnd(payload: Buffer): number | undefined {
  return endSchema.safeParse(parseJson(payload)).data?.rows;
}

export function damagedBackup(what: string): DepositoError {
  return new DepositoError("backup-damaged", `the backup is damaged: ${what}; use another one`);
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString("utf8"));
  } catch (error) {
    invariant(error instanceof SyntaxError, () => `parsing JSON failed with ${String(error)}`);
    return undefined;
  }
}

/** A text that one of the parsers of `base/ids.ts` takes. */
function parsed<T>(parse: (text: string) => T | undefined) {
  return z.string().transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue("not what it should be");
    return z.NEVER;
  });
}

const whole = z.int().min(0);
const headerSchema: z.ZodType<BackupHeader> = z.strictObject({
  clusterId: parsed(parseClusterId),
  clusterName: z.string(),
  applied: z.strictObject({ index: whole.transform(logIndex), term: whole.transform(term) }),
  digest: z.string(),
  members: z.array(parsed(parseNodeId)),
  totals: z.strictObject({ files: whole, bytes: whole }),
  madeAt: z.string(),
});
const endSchema = z.strictObject({ rows: whole });
