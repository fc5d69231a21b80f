import { z } from "zod";
import { nodeMembership } from "../../../client/wire.ts";
import { DepositoError } from "../../base/errors.ts";
import { parseNodeId } from "../../base/ids.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import { nodeMembershipJson } from "../membership-json.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { percentDecode } from "../target.ts";
import { readQuery } from "../validation.ts";

const path = "/v1/cluster/nodes/";
const query = z.strictObject({
  "accept-data-loss": z
    .enum(["", "1", "true"])
    .optional()
    .meta({ description: "Given: what only this node holds is given up. For a node that is gone for good" }),
});

/** `DELETE /v1/cluster/nodes/{id}`: takes a node out of the group once other nodes have its replicas. */
export function removeNodeRoute({ depot }: ApiOptions): Route {
  return {
    method: "delete",
    path: `${path}{id}`,
    auth: "operator",
    describe: {
      summary: "Remove a node: it stops voting at once, and leaves when other nodes have its replicas",
      request: { params: z.object({ id: z.string().meta({ example: "n3" }) }), query },
      responses: { 202: documents("It is decided; GET /v1/cluster shows how far it is", nodeMembership) },
      problems: ["invalid-query", "node-not-found", "node-busy", "last-voter", "node-unreachable"],
    },
    async handle(exchange) {
      const acceptLoss = readQuery(exchange, query)["accept-data-loss"] !== undefined;
      const text = percentDecode(exchange.target.path.slice(path.length), "invalid-request");
      const id = parseNodeId(text);
      if (id === undefined) throw new DepositoError("node-not-found", `no node can have the id '${text}'`);
      sendJson(exchange, 202, nodeMembershipJson(await depot.removeMember(id, { acceptLoss })));
    },
  };
}
