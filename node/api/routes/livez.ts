import { type Liveness, liveness } from "../../../client/wire.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";

/** `GET /livez`: the process runs and answers. */
export function livezRoute({ self }: Pick<ApiOptions, "self">): Route {
  return {
    method: "get",
    path: "/livez",
    auth: "none",
    describe: {
      summary: "Whether the process answers, and which node it is",
      request: {},
      responses: { 200: documents("It does", liveness) },
      problems: [],
    },
    handle(exchange) {
      const json: Liveness = { live: true, node: self };
      sendJson(exchange, 200, json);
    },
  };
}
