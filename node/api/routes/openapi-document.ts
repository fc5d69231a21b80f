import { z } from "zod";
import { openApiDocument } from "../openapi.ts";
import { sendLongJson } from "../reply.ts";
import type { Route } from "../route.ts";

/** `GET /openapi.json`: this API as an OpenAPI 3.1 document; `routes` may hold this route itself by the time it is asked. */
export function openApiRoute(routes: readonly Route[]): Route {
  let document: unknown;
  return {
    method: "get",
    path: "/openapi.json",
    auth: "none",
    describe: {
      summary: "Read this document",
      request: {},
      responses: {
        200: { description: "OpenAPI 3.1", content: { "application/json": { schema: z.looseObject({}) } } },
      },
      problems: [],
    },
    handle(exchange) {
      document ??= openApiDocument(routes);
      sendLongJson(exchange, document, { "Cache-Control": "no-cache" });
    },
  };
}
