import { type Readiness, readiness } from "../../../client/wire.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";

/** `GET /readyz`: this node has caught up with what was committed when it joined. */
export function readyzRoute({
  replication,
}: {
  readonly replication: Pick<ApiOptions["replication"], "readiness">;
}): Route {
  return {
    method: "get",
    path: "/readyz",
    auth: "none",
    describe: {
      summary: "Whether the node should get requests",
      request: {},
      responses: { 200: documents("It should", readiness), 503: documents("Not yet, and why", readiness) },
      problems: [],
    },
    handle(exchange) {
      const { ready, reasons } = replication.readiness();
      const json: Readiness = { ready, reasons: [...reasons] };
      if (ready) sendJson(exchange, 200, json);
      else sendJson(exchange, 503, json, { "Retry-After": "1" });
    },
  };
}
