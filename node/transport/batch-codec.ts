import { Packr } from "msgpackr";
import { z } from "zod";
import { parseBlobId, parseSha256, type Staged, staged } from "../base/ids.ts";
import type { BlobFacts } from "../catalog/types.ts";
import { ByteWriter } from "./bytes.ts";

/** One small blob with its facts. */
export interface SmallBlob {
  readonly facts: BlobFacts;
  readonly bytes: Uint8Array;
}

/** What became of one blob of a batch. */
export type BatchResult = { readonly staged: Staged } | { readonly failed: "digest-mismatch" };

/**
 * The body of `POST /peer/blobs`:
 *
 *   u32 header length │ header: msgpack [[blobId, sizeBytes, sha256], …] │ the bytes of each, one after the other
 */
export function encodeBatch(blobs: readonly SmallBlob[]): Buffer {
  const header = packr.pack(blobs.map(({ facts }) => [facts.blobId, facts.sizeBytes, facts.sha256]));
  let sizeBytes = 4 + header.length;
  for (const { bytes } of blobs) sizeBytes += bytes.length;
  const writer = new ByteWriter(sizeBytes).u32(header.length).raw(header);
  for (const { bytes } of blobs) writer.raw(bytes);
  return writer.finish();
}

/** The blobs, as views into `body`, or undefined when it is anything else. Digests are the holder's to check. */
export function decodeBatch(body: Buffer): readonly SmallBlob[] | undefined {
  if (body.length < 4) return undefined;
  const headerBytes = body.readUInt32BE(0);
  if (headerBytes > body.length - 4) return undefined;
  const header = unpack(body.subarray(4, 4 + headerBytes));
  if (!Array.isArray(header)) return undefined;
  const blobs: SmallBlob[] = [];
  let offset = 4 + headerBytes;
  for (const row of header) {
    const facts = factsOf(row);
    if (facts === undefined || facts.sizeBytes > body.length - offset) return undefined;
    blobs.push({ facts, bytes: body.subarray(offset, offset + facts.sizeBytes) });
    offset += facts.sizeBytes;
  }
  return offset === body.length ? blobs : undefined;
}

/** The answer to a batch: one result each, in order, as JSON. */
export function encodeBatchResults(results: readonly BatchResult[]): string {
  return JSON.stringify({ results: results.map((result) => ("staged" in result ? result.staged : result.failed)) });
}

/** The results, or undefined when they are not exactly `count`. */
export function decodeBatchResults(body: unknown, count: number): readonly BatchResult[] | undefined {
  const results = resultsSchema.safeParse(body).data?.results;
  return results?.length === count ? results : undefined;
}

/** The facts in msgpack: how the body of `PUT /peer/blobs/:blobId` ends. */
export function encodeFacts(facts: BlobFacts): Buffer {
  return packr.pack([facts.blobId, facts.sizeBytes, facts.sha256]);
}

export function decodeFacts(bytes: Buffer): BlobFacts | undefined {
  return factsOf(unpack(bytes));
}

/** By hand, not by zod: this is once per deposit and holder. */
function factsOf(row: unknown): BlobFacts | undefined {
  if (!Array.isArray(row) || row.length !== 3) return undefined;
  const [id, sizeBytes, digest] = row as readonly unknown[];
  if (typeof id !== "string" || typeof sizeBytes !== "number" || typeof digest !== "string") return undefined;
  const blobId = parseBlobId(id);
  const sha256 = parseSha256(digest);
  if (blobId === undefined || sha256 === undefined || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    return undefined;
  }
  return { blobId, sizeBytes, sha256 };
}

const packr = new Packr({ useRecords: false });

function unpack(bytes: Buffer): unknown {
  try {
    return packr.unpack(bytes);
  } catch {
    return undefined; // msgpackr throws on bytes that are not msgpack
  }
}

const stagedNumber = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).transform(staged);
const resultsSchema = z.object({
  results: z.array(
    z.union([
      stagedNumber.transform((number) => ({ staged: number })),
      z.literal("digest-mismatch").transform((failed) => ({ failed })),
    ]),
  ),
});
