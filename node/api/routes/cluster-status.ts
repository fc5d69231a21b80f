import { type ClusterStatusJson, clusterStatus } from "../../../client/wire.ts";
import type { ClusterStatus } from "../../depot/types.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import { isoTime } from "../record-json.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `GET /v1/cluster`: the members, who leads, and how many replicas are there. */
export function clusterStatusRoute({ depot }: ApiOptions): Route {
  return {
    method: "get",
    path: "/v1/cluster",
    auth: "either",
    describe: {
      summary: "Read the cluster's status",
      request: {},
      responses: { 200: documents("The status, as this node sees it", clusterStatus) },
      problems: ["invalid-query"],
    },
    async handle(exchange) {
      readQuery(exchange, noQuery);
      sendJson(exchange, 200, clusterStatusJson(await depot.clusterStatus()));
    },
  };
}

function clusterStatusJson({
  cluster,
  leader,
  term,
  commitIndex,
  nodes,
  totals,
  trouble,
}: ClusterStatus): ClusterStatusJson {
  const { wanted, present, missing, unplaced } = totals;
  return {
    cluster,
    leader: leader ?? null,
    term,
    commitIndex,
    nodes: nodes.map(nodeJson),
    replicas: { wanted, present, missing: missing + unplaced },
    trouble: trouble ?? null,
  };
}

function nodeJson({
  member,
  membership,
  state,
  status,
  lastSeenWallMs,
}: ClusterStatus["nodes"][number]): ClusterStatusJson["nodes"][number] {
  return {
    id: member.id,
    role: member.role,
    membership,
    zone: member.zone,
    api: { host: member.api.host, port: member.api.port },
    state,
    raft: status === undefined ? null : { match: status.match, applied: status.applied },
    files: status?.files ?? null,
    bytes: status?.bytes ?? null,
    freeBytes: status?.freeBytes ?? null,
    lastSeen: lastSeenWallMs === undefined ? null : isoTime(lastSeenWallMs),
  };
}
