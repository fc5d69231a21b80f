import { type RotatedSecret, rotatedSecret } from "../../../client/wire.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `POST /v1/clients/me/secret`: a new secret; the old one ends. */
export function rotateSecretRoute({ depot }: ApiOptions): Route {
  return {
    method: "post",
    path: "/v1/clients/me/secret",
    auth: "client",
    describe: {
      summary: "Replace the client's secret; the old one ends at once",
      request: {},
      responses: { 200: documents("The new secret, shown this once", rotatedSecret) },
      problems: ["invalid-query"],
    },
    async handle(exchange, { clientId }) {
      readQuery(exchange, noQuery);
      const { secret } = await depot.rotateSecret(clientId);
      const json: RotatedSecret = { clientId, secret };
      sendJson(exchange, 200, json);
    },
  };
}
