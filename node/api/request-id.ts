import type { IncomingMessage, ServerResponse } from "node:http";
import { v4 } from "@lukeed/uuid/secure";

const header = "X-Request-Id";
const valid = /^[A-Za-z0-9._~:+/=-]{1,128}$/;

/** Puts the request id on the reply: the client's own if it is a plain token of at most 128 characters, else a new UUID. */
export function assignRequestId(request: IncomingMessage, response: ServerResponse): void {
  const given = request.headers["x-request-id"];
  response.setHeader(header, typeof given === "string" && valid.test(given) ? given : newRequestId());
}

export function requestIdOf(response: ServerResponse): string {
  return String(response.getHeader(header));
}

export function newRequestId(): string {
  return v4();
}
