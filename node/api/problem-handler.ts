import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { DepositoError, hasCode } from "../base/errors.ts";
import { InvariantError } from "../base/invariant.ts";
import type { Logger } from "../base/logger.ts";
import { problemDocument, problemMediaType } from "./problem-document.ts";
import { type Problem, type ProblemCode, problemOf, problems } from "./problems.ts";
import { send } from "./reply.ts";
import { requestIdOf } from "./request-id.ts";

export interface ProblemHandlerOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Called after the answer when going on would be wrong: a broken invariant, or a write or sync that failed. */
  readonly onFatal: (error: unknown) => void;
}

/** Answers every error of a request with a problem document (RFC 9457). */
export class ProblemHandler {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #onFatal: (error: unknown) => void;

  constructor({ logger, clock, onFatal }: ProblemHandlerOptions) {
    this.#logger = logger;
    this.#clock = clock;
    this.#onFatal = onFatal;
  }

  /** Header fields that only this answer has (`Allow`, `WWW-Authenticate`, …) are set on the response before. */
  answer(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    const requestId = requestIdOf(response);
    const { code, problem, detail } = this.#translate(error, requestId);
    if (problem.status >= 500) this.#log(error, problem, { requestId, method: request.method, code });
    if (response.headersSent || hasCode(error, "upload-aborted")) {
      // What was begun must not look finished, and who is gone needs no answer.
      response.destroy();
    } else {
      const retryAfter = problem.retryAfterSeconds;
      if (retryAfter !== undefined && !response.hasHeader("Retry-After")) {
        response.setHeader("Retry-After", String(retryAfter));
      }
      send(
        { request, response, clock: this.#clock },
        {
          status: problem.status,
          headers: { "Cache-Control": "no-store", "Content-Type": problemMediaType },
          body: JSON.stringify(problemDocument(code, detail, requestId)),
        },
      );
    }
    if (error instanceof InvariantError || hasCode(error, "storage-failed")) this.#onFatal(error);
  }

  #translate(error: unknown, requestId: string): { code: ProblemCode; problem: Problem; detail: string } {
    if (error instanceof DepositoError) {
      const known = problemOf(error.code);
      if (known !== undefined && known.code !== "internal-error") return { ...known, detail: error.message };
    }
    if (isRouterRefusal(error)) {
      return { code: "invalid-request", problem: problems["invalid-request"], detail: "the path is not valid" };
    }
    return { code: "internal-error", problem: problems["internal-error"], detail: `request ${requestId}` };
  }

  #log(error: unknown, { status }: Problem, facts: Readonly<Record<string, unknown>>): void {
    if (hasCode(error, "upload-aborted")) return;
    if (status === 500) this.#logger.error({ ...facts, err: error }, "a request failed");
    else
      this.#logger.warn(
        { ...facts, reason: error instanceof Error ? error.message : undefined },
        "a request was refused",
      );
  }
}

/** Express refuses a path that cannot be decoded with a `URIError` and a 400. */
function isRouterRefusal(error: unknown): boolean {
  return error instanceof URIError && "status" in error && error.status === 400;
}
