import { Packr } from "msgpackr";
import { z } from "zod";
import { logIndex, parseNodeId, term } from "../base/ids.ts";
import type { NodeStatus } from "./types.ts";

const packr = new Packr({ useRecords: false });

/** A node's status in msgpack: sent about once a second, so it is not worth a layout of its own. */
export function encodeStatus(status: NodeStatus): Buffer {
  return packr.pack(status);
}

/** The status, or undefined when the bytes are anything else. */
export function decodeStatus(bytes: Buffer): NodeStatus | undefined {
  try {
    return statusSchema.safeParse(packr.unpack(bytes)).data;
  } catch {
    return undefined; // msgpackr throws on bytes that are not msgpack
  }
}

const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const index = whole.transform(logIndex);
const node = z.string().transform((text, context) => {
  const id = parseNodeId(text);
  if (id !== undefined) return id;
  context.addIssue("not a node id");
  return z.NEVER;
});
const address = z.strictObject({ host: z.string().min(1).max(255), port: z.number().int().min(0).max(65_535) });
const checkpoint = z.strictObject({ index, digest: z.string().regex(/^[0-9a-f]{1,128}$/) });

const statusSchema: z.ZodType<NodeStatus> = z.strictObject({
  node,
  api: address,
  term: whole.transform(term),
  match: index,
  applied: index,
  lostPromises: z.boolean(),
  files: whole,
  bytes: whole,
  freeBytes: whole,
  takesBytes: z.boolean(),
  // msgpackr writes undefined as an extension that comes back as undefined
  checkpoint: checkpoint.or(z.undefined()),
});
