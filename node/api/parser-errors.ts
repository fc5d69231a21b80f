import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { rawProblemReply } from "./problem-document.ts";
import type { ProblemCode } from "./problems.ts";
import { newRequestId } from "./request-id.ts";

/**
 * Answers what the HTTP parser refuses, for which no request object exists, with a problem document on the bare socket.
 * A reply that is under way on the same socket is never cut into: an earlier, whole request gets its answer first.
 */
export function answerParserErrors(server: Server): void {
  const underWay = new WeakMap<Duplex, { request: IncomingMessage; response: ServerResponse }>();
  const refused = new WeakSet<Duplex>();
  const track = (request: IncomingMessage, response: ServerResponse): void => {
    underWay.set(request.socket, { request, response });
  };
  server.prependListener("request", track).prependListener("checkContinue", track);

  server.on("clientError", (error: ParserError, socket) => {
    const code = refusalOf(error.code);
    if (code === undefined || refused.has(socket)) return void socket.destroy();
    refused.add(socket);
    const refuse = (): void => endWith(socket, code, detailOf(code, error));
    const current = underWay.get(socket);
    if (current === undefined || current.response.writableFinished) return refuse();
    if (current.request.complete) return void current.response.once("finish", refuse);
    // The body of this very request is broken: it is refused, unless its answer has begun or waits behind an earlier one.
    if (current.response.headersSent || current.response.socket === null) socket.destroy();
    else refuse();
  });
  server.on("connect", (_request, socket) => endWith(socket, "no-such-route", "this node is no proxy"));
}

/** `reason` is the parser's own, fixed text: nothing of the request is in it. */
interface ParserError extends NodeJS.ErrnoException {
  readonly reason?: unknown;
}

function refusalOf(code: string | undefined): ProblemCode | undefined {
  if (code === "HPE_HEADER_OVERFLOW") return "headers-too-large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "upload-timeout";
  return code?.startsWith("HPE_") === true ? "invalid-request" : undefined;
}

function detailOf(code: ProblemCode, error: ParserError): string {
  if (code === "headers-too-large") return "the request line and header fields may have 16 KiB together";
  if (code === "upload-timeout") return "the header fields did not arrive in time";
  const reason = typeof error.reason === "string" ? error.reason : "the request cannot be parsed";
  return error.code === "HPE_INVALID_URL" ? `${reason}: percent-encode what is not printable ASCII` : reason;
}

function endWith(socket: Duplex, code: ProblemCode, detail: string): void {
  if (!socket.writable) return void socket.destroy();
  socket.on("error", () => socket.destroy());
  socket.end(rawProblemReply(code, detail, newRequestId()), () => socket.destroy());
}
