import { STATUS_CODES } from "node:http";
import type { ProblemDocument } from "../../client/wire.ts";
import { type ProblemCode, problems } from "./problems.ts";

/** The media type of problem documents (RFC 9457). */
export const problemMediaType = "application/problem+json";

/** The document of one problem, as it happened to one request. */
export function problemDocument(code: ProblemCode, detail: string, requestId: string): ProblemDocument {
  const { status, title } = problems[code];
  return { type: `/problems/${code}`, title, status, detail, instance: requestId };
}

/** A whole HTTP/1.1 reply with the document, for sockets on which no request could be parsed; it ends the connection. */
export function rawProblemReply(code: ProblemCode, detail: string, requestId: string): string {
  const body = JSON.stringify(problemDocument(code, detail, requestId));
  const { status } = problems[code];
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "Connection: close",
    "Cache-Control: no-store",
    `Content-Type: ${problemMediaType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    "X-Content-Type-Options: nosniff",
    "",
    body,
  ].join("\r\n");
}
