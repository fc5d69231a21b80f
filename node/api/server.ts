import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type express from "express";
import { DepositoError } from "../base/errors.ts";
import { AttemptLimit } from "./attempt-limit.ts";
import { Authenticator } from "./authenticator.ts";
import type { ApiOptions } from "./context.ts";
import { createDoorServer } from "./door-server.ts";
import { EventStreams } from "./event-streams.ts";
import { HttpMetrics } from "./http-metrics.ts";
import { mountRoutes } from "./mount.ts";
import { ProblemHandler } from "./problem-handler.ts";
import { assignRequestId } from "./request-id.ts";
import { apiRoutes } from "./routes.ts";

export interface Api {
  readonly app: express.Express;
  readonly server: Server;
  /** Ends the answers that have no end of their own, so that the server can be closed. */
  readonly endStreams: () => void;
}

/**
 * The door for clients and operators.
 *
 *   socket ─► node:http parser ─► Admission ─► Express router ─► authenticate ─► route ─► Depot
 *               │ clientError        │ 417, 429     │ 404, 405        │ 401, 403     │ DepositoError
 *               ▼                    ▼              ▼                 ▼              ▼
 *            raw problem          ProblemHandler.answer: the one table of problems.ts
 *
 * The server does not listen yet. Close it with `server.close()`.
 */
export function createApi(options: ApiOptions): Api {
  const metrics = new HttpMetrics(options.metrics);
  const problems = new ProblemHandler(options);
  const failures = new AttemptLimit({
    what: "failed authentications",
    perMinute: options.limits.failedAuthenticationsPerMinute,
    clock: options.clock,
  });
  const streams = new EventStreams(options.limits.eventStreams);
  const authenticator = new Authenticator({ depot: options.depot, adminToken: options.config.adminToken, failures });
  const app = mountRoutes(apiRoutes(options, metrics, streams), { options, authenticator, problems });
  const server = createDoorServer(options.limits);
  const admission = new Admission(options, app, metrics, problems);
  server.on("request", (request, response) => admission.admit(request, response));
  server.on("checkContinue", (request, response) => admission.admit(request, response));
  server.on("checkExpectation", (request, response) => admission.refuseExpectation(request, response));
  return { app, server, endStreams: () => streams.end() };
}

/** The first and the last to see a request: its id, its place among those under way, its metrics. */
class Admission {
  readonly #options: ApiOptions;
  readonly #app: express.Express;
  readonly #metrics: HttpMetrics;
  readonly #problems: ProblemHandler;
  #underWay = 0;

  constructor(options: ApiOptions, app: express.Express, metrics: HttpMetrics, problems: ProblemHandler) {
    this.#options = options;
    this.#app = app;
    this.#metrics = metrics;
    this.#problems = problems;
  }

  admit(request: IncomingMessage, response: ServerResponse): void {
    this.#begin(request, response);
    const refusal = this.#refusal(request);
    if (refusal !== undefined) return this.#problems.answer(refusal, request, response);
    // Reached by requests for no route, and by those whose path Express cannot parse at all.
    const last = (error?: unknown): void =>
      this.#problems.answer(error ?? new DepositoError("no-such-route", "there is no such route"), request, response);
    // The app gives both their Express methods by itself, before anything else.
    this.#app(request as express.Request, response as express.Response, last);
  }

  refuseExpectation(request: IncomingMessage, response: ServerResponse): void {
    this.#begin(request, response);
    const refusal = new DepositoError("expectation-failed", "only Expect: 100-continue can be met");
    this.#problems.answer(refusal, request, response);
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    const beganMs = this.#options.clock.monotonicMs();
    this.#underWay++;
    assignRequestId(request, response);
    // A write to a connection that is gone fails here; whoever writes learns it from the response's state.
    response.on("error", (error) => this.#options.logger.debug({ err: error }, "a reply could not be written"));
    response.once("close", () => {
      this.#underWay--;
      const seconds = (this.#options.clock.monotonicMs() - beganMs) / 1000;
      const status = response.headersSent ? response.statusCode : 0;
      this.#metrics.answered(matchedPath(response), request.method ?? "", status, seconds);
    });
  }

  #refusal(request: IncomingMessage): DepositoError | undefined {
    if (this.#underWay > this.#options.limits.requestsUnderWay) {
      return new DepositoError("too-many-requests", "this node has too many requests under way");
    }
    if (request.httpVersion === "1.1" && request.headers.host === undefined) {
      return new DepositoError("invalid-request", "HTTP/1.1 requests need a Host field");
    }
    return undefined;
  }
}

/** The path of the matched route, so that a metric has one label per route and not one per file. */
function matchedPath(response: ServerResponse): string {
  const locals: unknown = Reflect.get(response, "locals");
  return typeof locals === "object" && locals !== null && "route" in locals ? String(locals.route) : "none";
}
