import { type RegisteredClient, registerClientRequest, registeredClient } from "../../../client/wire.ts";
import type { AttemptLimit } from "../attempt-limit.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import type { Exchange } from "../exchange.ts";
import { readJson } from "../json-body.ts";
import { isoTime } from "../record-json.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `POST /v1/clients`: makes a new client; where registration is not open, for operators only. */
export function registerClientRoute({ depot, config }: ApiOptions, registrations: AttemptLimit): Route {
  return {
    method: "post",
    path: "/v1/clients",
    auth: config.registration === "open" ? "none" : "operator",
    describe: {
      summary: "Register a client; the secret is shown this once",
      request: { body: { content: { "application/json": { schema: registerClientRequest } } } },
      responses: { 201: documents("The new client", registeredClient) },
      problems: ["invalid-query", "invalid-body", "unsupported-media-type", "upload-timeout", "too-many-requests"],
    },
    async handle(exchange: Exchange) {
      readQuery(exchange, noQuery);
      await registrations.count(exchange.request, exchange.response);
      const idleMs = config.limits.uploadIdleMs;
      const { label } = await readJson(exchange, registerClientRequest, { idleMs, optional: true });
      const { client, secret } = await depot.registerClient(label);
      const json: RegisteredClient = {
        clientId: client.clientId,
        secret,
        label: client.label ?? null,
        createdAt: isoTime(client.createdAt),
      };
      sendJson(exchange, 201, json);
    },
  };
}
