import type { RequestHandler } from "express";
import { DepositoError } from "../../base/errors.ts";
import { invariant } from "../../base/invariant.ts";
import { decodeBatch, encodeBatchResults } from "../../transport/batch-codec.ts";
import { servicesOf } from "../require-member.ts";

/** `POST /peer/blobs`: a batch of small blobs (`batch-codec.ts`), all durable when it is answered, each with its result. */
export const storeSmallRoute: RequestHandler = async (request, response) => {
  const body: unknown = request.body;
  const blobs = Buffer.isBuffer(body) ? decodeBatch(body) : undefined;
  if (blobs === undefined) throw new DepositoError("invalid-body", "the body is not a batch of blobs");
  const results = await servicesOf(response).holder.storeSmall(blobs);
  invariant(results.length === blobs.length, () => `${results.length} results of ${blobs.length} blobs`);
  response.type("json").send(encodeBatchResults(results));
};
