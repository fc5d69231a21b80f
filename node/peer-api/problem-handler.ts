import type { ErrorRequestHandler, RequestHandler, Response } from "express";
import { hasCode } from "../base/errors.ts";
import { InvariantError } from "../base/invariant.ts";
import { type PeerProblem, type PeerProblemCode, peerProblem, problemOfError } from "../transport/peer-problem.ts";
import type { PeerApiOptions } from "./context.ts";

export function sendProblem(response: Response, code: PeerProblemCode, detail: string): void {
  send(response, peerProblem(code, detail));
}

/** The last route: none of the others. */
export const noSuchRoute: RequestHandler = (request, response) => {
  sendProblem(response, "no-such-route", `there is no ${request.method} ${request.path} on the peer port`);
};

/** Turns whatever a route threw into a problem document, or breaks the connection when the answer has begun. */
export function problemHandler({ logger, fatal }: Pick<PeerApiOptions, "logger" | "fatal">): ErrorRequestHandler {
  // Express tells error handlers by their four parameters.
  return (error: unknown, request, response, _next) => {
    const call = `${request.method} ${request.path}`;
    if (error instanceof InvariantError || hasCode(error, "storage-failed") || hasCode(error, "catalog-damaged")) {
      fatal(error);
      response.destroy();
      return;
    }
    if (response.headersSent || response.destroyed) {
      // The peer must not take what it got for the whole.
      logger.info({ call, err: error }, "answer broken off");
      response.destroy();
      return;
    }
    const problem = problemOfError(error) ?? problemOfBody(error);
    if (problem === undefined) logger.error({ call, err: error }, "call failed");
    send(response, problem ?? peerProblem("internal-error", `${call} failed; the node's log has more`));
  };
}

/** Errors of Express's own body parsers and path decoding carry the HTTP status they stand for. */
function problemOfBody(error: unknown): PeerProblem | undefined {
  const status = error instanceof Error && "status" in error ? error.status : undefined;
  if (status === 413) return peerProblem("file-too-large", "the body is larger than this node takes");
  if (typeof status === "number" && status >= 400 && status < 500) {
    return peerProblem("invalid-body", "the body or the path cannot be read");
  }
  return undefined;
}

function send(response: Response, problem: PeerProblem): void {
  response.status(problem.status).type("application/problem+json").send(JSON.stringify(problem));
}
