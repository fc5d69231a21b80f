import helmet from "helmet";
import { z } from "zod";
import { DepositoError } from "../../base/errors.ts";
import type { Exchange } from "../exchange.ts";
import { problemIndexPage, problemPage } from "../problem-pages.ts";
import { isProblemCode } from "../problems.ts";
import { send } from "../reply.ts";
import type { Route } from "../route.ts";

const html = { "text/html": { schema: z.string() } };

/** `GET /problems/{code}` and `/problems`: what the `type` of a problem document leads to. */
export const problemPageRoutes: readonly Route[] = [
  {
    method: "get",
    path: "/problems/{code}",
    auth: "none",
    describe: {
      summary: "Read about one kind of problem",
      request: { params: z.object({ code: z.string().meta({ example: "file-not-found" }) }) },
      responses: { 200: { description: "A page", content: html } },
      problems: [],
    },
    handle(exchange) {
      const code = exchange.target.path.slice("/problems/".length);
      if (!isProblemCode(code)) throw new DepositoError("no-such-route", "there is no such kind of problem");
      sendPage(exchange, problemPage(code));
    },
  },
  {
    method: "get",
    path: "/problems",
    auth: "none",
    describe: {
      summary: "Read about every kind of problem",
      request: {},
      responses: { 200: { description: "A page", content: html } },
      problems: [],
    },
    handle: (exchange) => sendPage(exchange, problemIndexPage()),
  },
];

// Only what a browser shows as a page of this origin needs all of these.
const secure = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { defaultSrc: ["'none'"], styleSrc: ["'unsafe-inline'"], frameAncestors: ["'none'"] },
  },
  strictTransportSecurity: false,
});

function sendPage(exchange: Exchange, page: string): void {
  secure(exchange.request, exchange.response, () => undefined);
  const headers = { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "public, max-age=3600" };
  send(exchange, { status: 200, headers: { ...exchange.response.getHeaders(), ...headers }, body: page });
}
