import type { RequestHandler } from "express";
import { DepositoError } from "../../base/errors.ts";
import type { PeerApiOptions } from "../context.ts";
import { blobIdOf, bodyOf, pullBody } from "../input.ts";
import { servicesOf } from "../require-member.ts";
import { whileWorking } from "../while-working.ts";

/** `POST /peer/blobs/:blobId/pull`: copies a blob from another node to this one; 102s until it is durable, then `{staged}`. */
export function pullRoute({ clock }: Pick<PeerApiOptions, "clock">): RequestHandler {
  return async (request, response) => {
    const { from, facts } = bodyOf(pullBody, request.body);
    if (facts.blobId !== blobIdOf(request.params)) {
      throw new DepositoError("invalid-body", "the body names another blob than the path");
    }
    const staged = await whileWorking(response, clock, servicesOf(response).holder.pull(from, facts));
    response.json({ staged });
  };
}
