import { type ClientAccount, clientAccount } from "../../../client/wire.ts";
import { documents } from "../descriptions.ts";
import { isoTime } from "../record-json.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `GET /v1/clients/me`: what the client has deposited, in numbers. */
export const clientAccountRoute: Route = {
  method: "get",
  path: "/v1/clients/me",
  auth: "client",
  describe: {
    summary: "Read the client's own account",
    request: {},
    responses: { 200: documents("The account", clientAccount) },
    problems: ["invalid-query"],
  },
  async handle(exchange, client) {
    readQuery(exchange, noQuery);
    const { clientId, label, files, bytes, replicaBytes, createdAt } = client;
    const json: ClientAccount = {
      clientId,
      label: label ?? null,
      files,
      bytes,
      replicaBytes,
      createdAt: isoTime(createdAt),
    };
    sendJson(exchange, 200, json);
  },
};
