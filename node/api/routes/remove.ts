import { z } from "zod";
import type { ApiOptions } from "../context.ts";
import { fileNameParameter } from "../descriptions.ts";
import { fileNameOf } from "../exchange.ts";
import { parsePreconditions } from "../headers/entity-tags.ts";
import { sendEmpty } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `DELETE /v1/files/{name}`: deletes a file. */
export function removeRoute({ depot }: ApiOptions): Route {
  return {
    method: "delete",
    path: "/v1/files/{name}",
    auth: "client",
    describe: {
      summary: "Delete a file",
      request: {
        params: fileNameParameter,
        headers: z.object({
          "If-Match": z.string().optional().meta({ description: "Delete only this version's bytes" }),
        }),
      },
      responses: { 204: { description: "It is deleted" } },
      problems: ["invalid-name", "invalid-header", "invalid-query", "file-not-found", "precondition-failed"],
    },
    async handle(exchange, { clientId }) {
      const name = fileNameOf(exchange, "/v1/files/");
      readQuery(exchange, noQuery);
      await depot.remove(clientId, name, parsePreconditions(exchange.request.headers));
      sendEmpty(exchange, 204);
    },
  };
}
