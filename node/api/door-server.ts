import { createServer, type Server } from "node:http";
import type { ApiLimits } from "./context.ts";
import { answerParserErrors } from "./parser-errors.ts";

/** The HTTP server of the API port, before anybody answers its requests; it does not listen yet. */
export function createDoorServer({ headersTimeoutMs }: Pick<ApiLimits, "headersTimeoutMs">): Server {
  const server = createServer({
    maxHeaderSize: 16 * 1024,
    headersTimeout: headersTimeoutMs,
    connectionsCheckingInterval: Math.min(1000, headersTimeoutMs),
    // Uploads may last; the body has an idle timer of its own.
    requestTimeout: 0,
    keepAliveTimeout: 65_000,
    // Checked by Admission instead, which answers with a problem document.
    requireHostHeader: false,
  });
  answerParserErrors(server);
  return server;
}
