import type { ApiOptions } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import type { Route } from "../route.ts";
import { taken } from "../send-bytes.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `GET /v1/cluster/backup`: the metadata of the group as one file, for operators (`node/backup/format.ts`). */
export function backupRoute({ backup, limits }: Pick<ApiOptions, "backup" | "limits">): Route {
  return {
    method: "get",
    path: "/v1/cluster/backup",
    auth: "operator",
    describe: {
      summary: "Back the group's metadata up",
      request: {},
      responses: {
        200: {
          description: "The backup. It ends with a mark of its own: what has none is not complete",
          content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } },
        },
      },
      problems: ["invalid-query", "too-many-requests", "no-quorum"],
    },
    async handle(exchange) {
      readQuery(exchange, noQuery);
      await sendPieces(exchange, backup(), limits.downloadIdleMs);
    },
  };
}

/** With back-pressure; a failure after the first piece breaks the connection, so that what came never looks complete. */
async function sendPieces(exchange: Exchange, pieces: AsyncIterable<Uint8Array>, idleMs: number): Promise<void> {
  const { request, response } = exchange;
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  try {
    for await (const piece of pieces) {
      if (response.destroyed) return;
      if (!response.headersSent) response.writeHead(200, headers);
      if (request.method === "HEAD") break;
      if (!response.write(piece)) await taken({ exchange, idleMs }, "drain", gone.signal);
    }
    response.end();
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  }
}

const headers = {
  "Content-Type": "application/octet-stream",
  "Content-Disposition": 'attachment; filename="deposito.backup"',
  "Cache-Control": "no-store",
};
