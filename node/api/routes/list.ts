import { listQuery, type RecordPage, recordPage } from "../../../client/wire.ts";
import type { ApiOptions } from "../context.ts";
import { documents } from "../descriptions.ts";
import { recordJson } from "../record-json.ts";
import { sendLongJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { readQuery } from "../validation.ts";

/** `GET /v1/records`: the client's files, in name order by UTF-8 bytes. */
export function listRoute({ depot }: ApiOptions): Route {
  return {
    method: "get",
    path: "/v1/records",
    auth: "client",
    describe: {
      summary: "List records in name order",
      request: { query: listQuery },
      responses: { 200: documents("One page", recordPage) },
      problems: ["invalid-query"],
    },
    async handle(exchange, { clientId }) {
      const { prefix, delimiter, after, limit } = readQuery(exchange, listQuery);
      const page = await depot.list({ clientId, prefix, delimiter, after, limit });
      const json: RecordPage = {
        records: page.records.map(recordJson),
        prefixes: [...page.prefixes],
        next: page.next ?? null,
      };
      sendLongJson(exchange, json);
    },
  };
}
