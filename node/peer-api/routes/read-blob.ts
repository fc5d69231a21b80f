import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { RequestHandler, Response } from "express";
import { hasCode } from "../../base/errors.ts";
import type { BlobId } from "../../base/ids.ts";
import { invariant } from "../../base/invariant.ts";
import { blobIdOf, rangeOf } from "../input.ts";
import { servicesOf } from "../require-member.ts";

/**
 * `GET /peer/blobs/:blobId?start&end`: verified bytes of `[start, end)`. Damage in the middle breaks the connection: bytes
 * already sent cannot be taken back.
 */
export const readBlobRoute: RequestHandler = async (request, response) => {
  const blobId = blobIdOf(request.params);
  const range = rangeOf(request.query);
  try {
    const bytes = await servicesOf(response).holder.read(blobId, range);
    const sizeBytes = range.end - range.start;
    response.type("application/octet-stream").set("Content-Length", String(sizeBytes));
    await pipeline(Readable.from(exactly(sizeBytes, bytes), { objectMode: false }), response);
  } catch (error) {
    reportLoss(response, blobId, error);
    if (!isClosedByPeer(error)) throw error;
  }
};

/** What the length promised, or the connection breaks. */
async function* exactly(sizeBytes: number, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const chunk of bytes) {
    sent += chunk.length;
    yield chunk;
  }
  invariant(sent === sizeBytes, () => `the holder read ${sent} of ${sizeBytes} bytes`);
}

function reportLoss(response: Response, blobId: BlobId, error: unknown): void {
  const { reportLost } = servicesOf(response);
  if (hasCode(error, "blob-damaged")) reportLost({ blobId, how: "damaged" });
  if (hasCode(error, "blob-not-found")) reportLost({ blobId, how: "gone" });
}

/** A peer that has enough, or is gone, is not a failure of this node. */
function isClosedByPeer(error: unknown): boolean {
  return error instanceof Error && "code" in error && closedCodes.has(String(error.code));
}

const closedCodes = new Set(["ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_DESTROYED", "ECONNRESET", "EPIPE"]);
