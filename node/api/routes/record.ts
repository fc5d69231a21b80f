import { z } from "zod";
import { fileRecord } from "../../../client/wire.ts";
import { DepositoError } from "../../base/errors.ts";
import { recordTag } from "../../catalog/preconditions.ts";
import type { ApiOptions } from "../context.ts";
import { documents, fileNameParameter } from "../descriptions.ts";
import { fileNameOf } from "../exchange.ts";
import { evaluateRead } from "../headers/read-conditions.ts";
import { recordJson } from "../record-json.ts";
import { sendEmpty, sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `GET /v1/records/{name}`: what the cluster knows of a file. */
export function recordRoute({ depot }: ApiOptions): Route {
  return {
    method: "get",
    path: "/v1/records/{name}",
    auth: "client",
    describe: {
      summary: "Read a file's record; its ETag is the record's, not the file's",
      request: {
        params: fileNameParameter,
        headers: z.object({ "If-Match": z.string().optional(), "If-None-Match": z.string().optional() }),
      },
      responses: {
        200: documents("The record", fileRecord),
        304: { description: "The client's copy of the record is current" },
      },
      problems: ["invalid-name", "invalid-header", "invalid-query", "file-not-found", "precondition-failed"],
    },
    async handle(exchange, { clientId }) {
      const name = fileNameOf(exchange, "/v1/records/");
      readQuery(exchange, noQuery);
      const record = await depot.record(clientId, name);
      const etag = recordTag(record.version);
      const headers = { ETag: etag, "Cache-Control": "private, no-cache" };
      switch (evaluateRead(exchange.request.headers, { etag, modifiedMs: record.updatedAt })) {
        case "precondition-failed":
          throw new DepositoError("precondition-failed", `the record is ${etag} now`);
        case "not-modified":
          return sendEmpty(exchange, 304, headers);
        case "send":
          return sendJson(exchange, 200, recordJson(record), headers);
      }
    },
  };
}
