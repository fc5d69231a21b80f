import { z } from "zod";
import {
  type Leadership,
  leadership,
  type NodeMembershipJson,
  type NodeStateJson,
  nodeMembership,
  nodeStateChange,
} from "../../../client/wire.ts";
import type { ClusterEvent } from "../../depot/types.ts";
import type { ApiOptions } from "../context.ts";
import type { EventStreams, SentEvent } from "../event-streams.ts";
import { nodeMembershipJson } from "../membership-json.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `GET /v1/cluster/events`: how the group stands, and what changes in it, as this node sees it. */
export function clusterEventsRoute({ depot }: ApiOptions, streams: EventStreams): Route {
  return {
    method: "get",
    path: "/v1/cluster/events",
    auth: "either",
    describe: {
      summary: "Follow changes of leader, nodes and membership, as this node sees them",
      request: {},
      responses: {
        200: {
          description:
            "First how things stand, then each change: `leader`, `node` and `member` events. A client that does not read is cut off",
          content: { "text/event-stream": { schema: z.union([leadership, nodeStateChange, nodeMembership]) } },
        },
      },
      problems: ["invalid-query", "too-many-requests"],
    },
    handle(exchange) {
      readQuery(exchange, noQuery);
      streams.serve(exchange, (tell) => depot.clusterEvents((event) => tell(sentEvent(event))));
    },
  };
}

function sentEvent(event: ClusterEvent): SentEvent {
  switch (event.type) {
    case "leader": {
      const data: Leadership = { leader: event.leader ?? null, term: event.term };
      return { event: "leader", data };
    }
    case "node": {
      const data: NodeStateJson = { id: event.node, state: event.state };
      return { event: "node", data };
    }
    case "member": {
      const data: NodeMembershipJson = nodeMembershipJson(event);
      return { event: "member", data };
    }
  }
}
