import { z } from "zod";
import { DepositoError } from "../base/errors.ts";
import { type BlobId, parseBlobId, parseNodeId, parseSha256 } from "../base/ids.ts";

/** The blob id of a path. @throws {DepositoError} `invalid-request` */
export function blobIdOf(params: Readonly<Record<string, unknown>>): BlobId {
  const text = params["blobId"];
  const blobId = typeof text === "string" ? parseBlobId(text) : undefined;
  if (blobId === undefined) throw new DepositoError("invalid-request", "the path does not name a blob");
  return blobId;
}

/** The range of a query, which must be there. @throws {DepositoError} `invalid-request` */
export function rangeOf(query: Readonly<Record<string, unknown>>): { readonly start: number; readonly end: number } {
  const [start, end] = [query["start"], query["end"]].map((text) =>
    typeof text === "string" && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN,
  ) as [number, number];
  if (!(start <= end && Number.isSafeInteger(end))) {
    throw new DepositoError("invalid-request", "start and end must be whole numbers, start ≤ end");
  }
  return { start, end };
}

/** The parsed JSON body. @throws {DepositoError} `invalid-body` with the first thing that is wrong. */
export function bodyOf<T>(schema: z.ZodType<T>, body: unknown): T {
  const { data, error } = schema.safeParse(body);
  if (data !== undefined) return data;
  const issue = error?.issues[0];
  throw new DepositoError("invalid-body", `${issue?.path.join(".")}: ${issue?.message}`);
}

function parsed<T>(parse: (text: string) => T | undefined, what: string) {
  return z.string().transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue(`not a ${what}`);
    return z.NEVER;
  });
}

const blobId = parsed(parseBlobId, "blob id");

/** `POST /peer/blobs/:blobId/pull` */
export const pullBody = z.strictObject({
  from: parsed(parseNodeId, "node id"),
  facts: z.strictObject({
    blobId,
    sizeBytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    sha256: parsed(parseSha256, "sha256"),
  }),
});

/** `POST /peer/discard` */
export const discardBody = z.strictObject({ blobIds: z.array(blobId).max(20_000) });
