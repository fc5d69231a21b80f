import { z } from "zod";
import type { ApiOptions } from "../context.ts";
import { send } from "../reply.ts";
import type { Route } from "../route.ts";

/** `GET /metrics`: what every part of the node counts, as Prometheus reads it. */
export function metricsRoute({ metrics }: Pick<ApiOptions, "metrics">): Route {
  return {
    method: "get",
    path: "/metrics",
    auth: "none",
    describe: {
      summary: "Read the node's metrics",
      request: {},
      responses: {
        200: { description: "Prometheus text format", content: { "text/plain": { schema: z.string() } } },
      },
      problems: [],
    },
    async handle(exchange) {
      const headers = { "Cache-Control": "no-store", "Content-Type": metrics.contentType };
      send(exchange, { status: 200, headers, body: await metrics.metrics() });
    },
  };
}
