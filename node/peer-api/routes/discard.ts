import type { RequestHandler } from "express";
import { bodyOf, discardBody } from "../input.ts";
import { servicesOf } from "../require-member.ts";

/** `POST /peer/discard`: removes blobs that no command can name any more. */
export const discardRoute: RequestHandler = async (request, response) => {
  const { blobIds } = bodyOf(discardBody, request.body);
  await servicesOf(response).holder.discard(blobIds);
  response.status(204).end();
};
