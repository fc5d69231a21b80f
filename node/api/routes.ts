import { AttemptLimit } from "./attempt-limit.ts";
import type { ApiOptions } from "./context.ts";
import type { EventStreams } from "./event-streams.ts";
import type { HttpMetrics } from "./http-metrics.ts";
import type { Route } from "./route.ts";
import { addNodeRoute } from "./routes/add-node.ts";
import { backupRoute } from "./routes/backup.ts";
import { clientAccountRoute } from "./routes/client-account.ts";
import { clusterEventsRoute } from "./routes/cluster-events.ts";
import { clusterStatusRoute } from "./routes/cluster-status.ts";
import { depositRoute } from "./routes/deposit.ts";
import { editRoute } from "./routes/edit.ts";
import { listRoute } from "./routes/list.ts";
import { livezRoute } from "./routes/livez.ts";
import { metricsRoute } from "./routes/metrics.ts";
import { moveLeadershipRoute } from "./routes/move-leadership.ts";
import { openApiRoute } from "./routes/openapi-document.ts";
import { problemPageRoutes } from "./routes/problem-page.ts";
import { readyzRoute } from "./routes/readyz.ts";
import { recordRoute } from "./routes/record.ts";
import { registerClientRoute } from "./routes/register-client.ts";
import { removeRoute } from "./routes/remove.ts";
import { removeNodeRoute } from "./routes/remove-node.ts";
import { retrieveRoutes } from "./routes/retrieve.ts";
import { rotateSecretRoute } from "./routes/rotate-secret.ts";

/** Every route of the API, the busiest first, as they are tried in this order. */
export function apiRoutes(options: ApiOptions, metrics: HttpMetrics, streams: EventStreams): readonly Route[] {
  const { limits, clock } = options;
  const registrations = new AttemptLimit({ what: "registrations", perMinute: limits.registrationsPerMinute, clock });
  const routes: Route[] = [
    ...retrieveRoutes(options, metrics),
    depositRoute(options, metrics),
    removeRoute(options),
    recordRoute(options),
    editRoute(options),
    listRoute(options),
    registerClientRoute(options, registrations),
    clientAccountRoute,
    rotateSecretRoute(options),
    clusterStatusRoute(options),
    clusterEventsRoute(options, streams),
    addNodeRoute(options),
    removeNodeRoute(options),
    moveLeadershipRoute(options),
    backupRoute(options),
    livezRoute(options),
    readyzRoute(options),
    metricsRoute(options),
    ...problemPageRoutes,
  ];
  routes.push(openApiRoute(routes));
  return routes;
}
