import { type Leadership, leadership, moveLeadershipRequest } from "../../../client/wire.ts";
import { parseNodeId } from "../../base/ids.ts";
import { invariant } from "../../base/invariant.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import { readJson } from "../json-body.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `POST /v1/cluster/leader`: hands leadership to a node. */
export function moveLeadershipRoute({ depot, config }: ApiOptions): Route {
  return {
    method: "post",
    path: "/v1/cluster/leader",
    auth: "operator",
    describe: {
      summary: "Hand leadership to a voter",
      request: { body: { required: true, content: { "application/json": { schema: moveLeadershipRequest } } } },
      responses: { 200: documents("It leads", leadership) },
      problems: [
        "invalid-query",
        "invalid-body",
        "unsupported-media-type",
        "upload-timeout",
        "node-not-found",
        "node-mismatch",
        "node-unreachable",
      ],
    },
    async handle(exchange) {
      readQuery(exchange, noQuery);
      const idleMs = config.limits.uploadIdleMs;
      const body = await readJson(exchange, moveLeadershipRequest, { idleMs, optional: false });
      const to = parseNodeId(body.to);
      invariant(to !== undefined, () => `the schema let ${body.to} through`);
      const { term } = await depot.moveLeadership(to);
      const json: Leadership = { leader: to, term };
      sendJson(exchange, 200, json);
    },
  };
}
