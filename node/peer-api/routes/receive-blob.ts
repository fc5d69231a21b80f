import type { Request, RequestHandler } from "express";
import { DepositoError } from "../../base/errors.ts";
import type { BlobId } from "../../base/ids.ts";
import type { BlobFacts } from "../../catalog/types.ts";
import { SinkFramingDecoder } from "../../transport/sink-framing.ts";
import type { BlobSink } from "../../transport/types.ts";
import type { PeerApiOptions } from "../context.ts";
import { blobIdOf } from "../input.ts";
import { servicesOf } from "../require-member.ts";
import { whileWorking } from "../while-working.ts";

/**
 * `PUT /peer/blobs/:blobId`: one blob of any size (`sink-framing.ts`). 102 when the first byte may follow, 200 with
 * `{staged}` once it is durable. The connection reads no faster than the disk writes.
 */
export function receiveBlobRoute({ clock }: Pick<PeerApiOptions, "clock">): RequestHandler {
  return async (request, response) => {
    const blobId = blobIdOf(request.params);
    const sink = await servicesOf(response).holder.openSink(blobId, undefined);
    try {
      response.writeProcessing();
      const facts = await receive(request, sink, blobId);
      const staged = await whileWorking(response, clock, sink.commit(facts));
      response.json({ staged });
    } catch (error) {
      await sink.abort();
      throw error;
    }
  };
}

/** Writes what arrives to the sink; the facts at its end. */
async function receive(request: Request, sink: BlobSink, blobId: BlobId): Promise<BlobFacts> {
  const decoder = new SinkFramingDecoder();
  let facts: BlobFacts | undefined;
  for await (const chunk of bodyOf(request)) {
    const pieces = decoder.push(chunk);
    for (const bytes of pieces.bytes) await sink.write(bytes);
    if (pieces.malformed) throw new DepositoError("invalid-body", "the body is not a framed blob");
    facts = pieces.facts;
  }
  // Also a body that ended as HTTP would have it: without its facts it was given up.
  if (facts === undefined) throw new DepositoError("invalid-body", "the body ended before the blob did");
  if (facts.blobId !== blobId) throw new DepositoError("invalid-body", "the body is another blob than the path names");
  return facts;
}

/** The body; a connection that breaks is the peer's doing, not a bug. */
async function* bodyOf(request: Request): AsyncGenerator<Buffer> {
  try {
    yield* request as AsyncIterable<Buffer>;
  } catch (error) {
    throw new DepositoError("invalid-body", "the connection broke off", { cause: error });
  }
}
