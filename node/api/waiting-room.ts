import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type express from "express";
import { DepositoError } from "../base/errors.ts";
import type { ApiOptions } from "./context.ts";
import { createDoorServer } from "./door-server.ts";
import { mountRoutes } from "./mount.ts";
import { ProblemHandler } from "./problem-handler.ts";
import { assignRequestId } from "./request-id.ts";
import { livezRoute } from "./routes/livez.ts";
import { metricsRoute } from "./routes/metrics.ts";
import { problemPageRoutes } from "./routes/problem-page.ts";
import { readyzRoute } from "./routes/readyz.ts";

export interface WaitingRoomOptions
  extends Pick<ApiOptions, "self" | "metrics" | "logger" | "clock" | "limits" | "onFatal"> {
  /** Why the node does not serve yet, as it stands; one at least. */
  readonly reasons: () => readonly string[];
}

/**
 * What the API port answers while the node is on its way to serving, which may take long where it waits for others: that it
 * lives, why it is not ready, its metrics, and to everything else the reasons again. Not listening yet.
 */
export function createWaitingRoom(options: WaitingRoomOptions): Server {
  const { limits, reasons } = options;
  const notYet = () => new DepositoError("no-quorum", `this node does not serve yet: ${reasons().join("; ")}`);
  const problems = new ProblemHandler(options);
  const routes = [
    livezRoute(options),
    readyzRoute({ replication: { readiness: () => ({ ready: false, reasons: reasons() }) } }),
    metricsRoute(options),
    ...problemPageRoutes,
  ];
  // Without a catalog nobody's credentials can be checked, and none of these routes asks for any.
  const authenticator = { identify: () => Promise.reject(notYet()) };
  const app = mountRoutes(routes, { options, authenticator, problems });
  const server = createDoorServer(limits);
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    assignRequestId(request, response);
    response.on("error", (error) => options.logger.debug({ err: error }, "a reply could not be written"));
    const last = (error?: unknown): void => problems.answer(error ?? notYet(), request, response);
    app(request as express.Request, response as express.Response, last);
  };
  server.on("request", answer);
  server.on("checkContinue", answer);
  return server;
}
