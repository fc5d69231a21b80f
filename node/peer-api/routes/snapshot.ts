import type { RequestHandler } from "express";
import { DepositoError } from "../../base/errors.ts";
import { cursorOfQuery, encodeSnapshotChunk } from "../../transport/snapshot-codec.ts";
import { callerOf, servicesOf } from "../require-member.ts";

/** `GET /peer/snapshot?session&after`: the next chunk of the catalog, checksummed (`snapshot-codec.ts`). */
export const snapshotRoute: RequestHandler = async (request, response) => {
  const at = cursorOfQuery(request.query);
  if (at === "malformed") throw new DepositoError("invalid-request", "session and after do not make a cursor");
  const chunk = await servicesOf(response).snapshots.chunk(callerOf(response), at);
  response.type("application/octet-stream").send(encodeSnapshotChunk(chunk));
};
