import { addNodeRequest, nodeMembership } from "../../../client/wire.ts";
import { parseNodeId } from "../../base/ids.ts";
import { invariant } from "../../base/invariant.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import { readJson } from "../json-body.ts";
import { nodeMembershipJson } from "../membership-json.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `POST /v1/cluster/nodes`: takes a node that was started, and waits for it, into the group. */
export function addNodeRoute({ depot, config }: ApiOptions): Route {
  return {
    method: "post",
    path: "/v1/cluster/nodes",
    auth: "operator",
    describe: {
      summary: "Add a node: it catches up as a learner, and votes, if it is a voter, when it is close",
      request: { body: { required: true, content: { "application/json": { schema: addNodeRequest } } } },
      responses: { 202: documents("It is decided; GET /v1/cluster shows how far it is", nodeMembership) },
      problems: [
        "invalid-query",
        "invalid-body",
        "unsupported-media-type",
        "upload-timeout",
        "node-busy",
        "already-a-member",
        "node-mismatch",
        "node-unreachable",
      ],
    },
    async handle(exchange) {
      readQuery(exchange, noQuery);
      const idleMs = config.limits.uploadIdleMs;
      const { id: text, peer } = await readJson(exchange, addNodeRequest, { idleMs, optional: false });
      const id = parseNodeId(text);
      invariant(id !== undefined, () => `the schema let ${text} through`);
      sendJson(exchange, 202, nodeMembershipJson(await depot.addMember(id, peer)));
    },
  };
}
