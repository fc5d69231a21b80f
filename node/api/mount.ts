import express from "express";
import { DepositoError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import type { Authenticator } from "./authenticator.ts";
import type { ApiOptions } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import type { ProblemHandler } from "./problem-handler.ts";
import { sendEmpty } from "./reply.ts";
import type { Route } from "./route.ts";
import { requestTarget } from "./target.ts";

/** What the routes are mounted with. */
export interface MountOptions {
  readonly options: Pick<ApiOptions, "clock">;
  readonly authenticator: Pick<Authenticator, "identify">;
  readonly problems: ProblemHandler;
}

const mounted = new WeakMap<object, Route>();

/** The route behind a handler of the Express router; undefined for a handler that nobody declared. */
export function routeOf(handler: object): Route | undefined {
  return mounted.get(handler);
}

/** Mounts the routes; whatever else is asked is answered 405 with `Allow`, or 404. */
export function mountRoutes(
  routes: readonly Route[],
  { options, authenticator, problems }: MountOptions,
): express.Express {
  const app = express();
  app.disable("x-powered-by").disable("etag").set("query parser", false);
  app.enable("case sensitive routing").enable("strict routing");
  for (const [path, group] of Map.groupBy(routes, (route) => route.path)) {
    const mount = app.route(expressPath(path));
    const exchangeOf = (request: express.Request, response: express.Response): Exchange => {
      response.locals.route = path;
      return { request, response, target: requestTarget(request.url), clock: options.clock };
    };
    for (const route of group) {
      const handler: express.RequestHandler = (request, response) =>
        handle(route, authenticator, exchangeOf(request, response));
      mounted.set(handler, route);
      mount[route.method](handler);
    }
    const allow = allowedMethods(group);
    mount.all((request, response) => refuseMethod(allow, exchangeOf(request, response)));
  }
  app.use((error: unknown, request: express.Request, response: express.Response, _next: express.NextFunction) =>
    problems.answer(error, request, response),
  );
  return app;
}

async function handle(route: Route, authenticator: MountOptions["authenticator"], exchange: Exchange): Promise<void> {
  if (route.auth === "none") return route.handle(exchange);
  const caller = await authenticator.identify(exchange.request, exchange.response, route.auth);
  if (route.auth !== "client") return route.handle(exchange);
  invariant(caller.type === "client", () => `${route.path} was opened to ${caller.type}`);
  return route.handle(exchange, caller.client);
}

function refuseMethod(allow: string, exchange: Exchange): void {
  if (exchange.request.method === "OPTIONS") return sendEmpty(exchange, 204, { Allow: allow });
  exchange.response.setHeader("Allow", allow);
  throw new DepositoError("method-not-allowed", `this route knows ${allow}`);
}

function allowedMethods(group: readonly Route[]): string {
  const methods = new Set(group.flatMap(({ method }) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()])));
  return [...methods, "OPTIONS"].join(", ");
}

/**
 * A `{name}` at the end becomes a prefix without a capturing group, so that Express neither decodes nor splits it; other
 * parameters become Express's own.
 */
function expressPath(path: string): string | RegExp {
  if (path.endsWith("/{name}")) return new RegExp(`^${path.slice(0, -"{name}".length)}`);
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}
