import { OpenAPIRegistry, OpenApiGeneratorV31, type ResponseConfig } from "@asteasolutions/zod-to-openapi";
import { z } from "zod";
import { problemDocument } from "../../client/wire.ts";
import { problemMediaType } from "./problem-document.ts";
import { type ProblemCode, problems } from "./problems.ts";
import type { AuthRule, Route } from "./route.ts";

type Document = ReturnType<OpenApiGeneratorV31["generateDocument"]>;

/** What any request may meet, and what each authentication rule adds. */
const always: readonly ProblemCode[] = [
  "invalid-request",
  "no-such-route",
  "method-not-allowed",
  "headers-too-large",
  "expectation-failed",
  "too-many-requests",
  "internal-error",
];
const byRule: Readonly<Record<AuthRule, readonly ProblemCode[]>> = {
  none: [],
  client: ["unauthenticated", "forbidden", "no-quorum"],
  operator: ["unauthenticated", "forbidden", "no-quorum"],
  either: ["unauthenticated", "no-quorum"],
};
const security: Readonly<Record<AuthRule, Record<string, string[]>[]>> = {
  none: [],
  client: [{ client: [] }],
  operator: [{ operator: [] }],
  either: [{ client: [] }, { operator: [] }],
};

/** The OpenAPI 3.1 document of the routes. */
export function openApiDocument(routes: readonly Route[]): Document {
  const registry = new OpenAPIRegistry();
  registry.registerComponent("securitySchemes", "client", {
    type: "http",
    scheme: "basic",
    description: "clientId:secret",
  });
  registry.registerComponent("securitySchemes", "operator", {
    type: "http",
    scheme: "bearer",
    description: "The admin token",
  });
  for (const { method, path, auth, describe } of routes) {
    registry.registerPath({
      method,
      path,
      summary: describe.summary,
      operationId: operationId(method, path),
      security: security[auth],
      request: describe.request,
      responses: { ...problemResponses([...describe.problems, ...byRule[auth], ...always]), ...describe.responses },
    });
  }
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: "3.1.0",
    info: {
      title: "deposito",
      version: "1",
      description: "Deposit files with as many replicas as you want, and get back exactly those bytes from any node.",
    },
  });
}

/** One response for each status; problems that share one are listed together. */
function problemResponses(codes: readonly ProblemCode[]): Record<string, ResponseConfig> {
  const byStatus = Map.groupBy(new Set(codes), (code) => String(problems[code].status));
  return Object.fromEntries(
    Array.from(byStatus, ([status, group]): [string, ResponseConfig] => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${problems[code].title}. ${problems[code].remedy}`).join("\n\n"),
        headers: responseHeaders(group),
        content: { [problemMediaType]: { schema: problemDocument } },
      },
    ]),
  );
}

function responseHeaders(codes: readonly ProblemCode[]): z.ZodObject {
  const header = (description: string): z.ZodType => z.string().meta({ description });
  const retried = codes.some((code) => code === "too-many-requests" || problems[code].retryAfterSeconds !== undefined);
  return z.object({
    "X-Request-Id": header("The client's own, if it sent one, else a new one"),
    ...(retried ? { "Retry-After": header("Seconds") } : {}),
  });
}

function operationId(method: string, path: string): string {
  return `${method}${path.replaceAll(/[/.{}-]+(\w)?/g, (_, letter: string | undefined) => letter?.toUpperCase() ?? "")}`;
}
