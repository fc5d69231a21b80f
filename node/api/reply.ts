import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import compression from "compression";
import type { Clock } from "../base/clock.ts";
import type { Exchange } from "./exchange.ts";

/** What a reply carries besides its status. */
export interface Payload {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string | undefined;
}

/** Answers with JSON; `no-store`, unless `headers` say otherwise. */
export function sendJson(exchange: Exchange, status: number, value: unknown, headers: OutgoingHttpHeaders = {}): void {
  send(exchange, {
    status,
    headers: { "Cache-Control": "no-store", "Content-Type": "application/json; charset=utf-8", ...headers },
    body: JSON.stringify(value),
  });
}

const compress = compression({ threshold: 8 * 1024 });

/** Like `sendJson`, for documents that can grow long: compressed for clients that accept it. Never for secrets (BREACH). */
export function sendLongJson(exchange: Exchange, value: unknown, headers: OutgoingHttpHeaders = {}): void {
  compress(exchange.request, exchange.response, () => sendJson(exchange, 200, value, headers));
}

/** Answers without a body. */
export function sendEmpty(exchange: Exchange, status: number, headers: OutgoingHttpHeaders = {}): void {
  send(exchange, { status, headers, body: undefined });
}

/** What may be left of a request's body when its answer is ready, and is read on so that the client sees the answer. */
const maxDrainedBytes = 1024 * 1024;
const maxDrainMs = 2000;
/** A client that leaves the end of its reply in the socket so long is cut off. */
const maxReplyMs = 60_000;

/** Where a reply goes. */
type ReplyTarget = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly clock: Clock };

/**
 * Sends a complete reply. When the request's body has not arrived in full, the connection ends afterwards: the reply is
 * written at once, and a bounded rest of the body is read and dropped before the socket closes, because closing on unread
 * bytes resets the connection and the client may lose the answer (RFC 9112 §9.6).
 */
export function send(target: ReplyTarget, payload: Payload): void {
  if (!awaitsBody(target.request)) return endWith(target, payload);
  // A body that came in the same packet as its header fields is parsed after this turn: the connection can be kept then.
  setImmediate(() => {
    if (awaitsBody(target.request)) endAfterDrain(target, payload);
    else endWith(target, payload);
  });
}

function endWith({ response, clock }: ReplyTarget, { status, headers, body }: Payload): void {
  response.writeHead(status, { ...securityHeaders, ...headers, ...lengthOf(body) }).end(body);
  if (response.writableLength > 0)
    response.once(
      "close",
      clock.after(maxReplyMs, () => response.destroy()),
    );
}

function endAfterDrain({ request, response, clock }: ReplyTarget, { status, headers, body }: Payload): void {
  response.writeHead(status, { ...securityHeaders, ...headers, ...lengthOf(body), Connection: "close" });
  if (body === undefined) response.flushHeaders();
  else response.write(body);
  let drainedBytes = 0;
  const end = (): void => {
    cancel();
    request.off("data", onData).off("end", end).off("close", end);
    response.end();
  };
  const onData = (chunk: Uint8Array): void => {
    drainedBytes += chunk.byteLength;
    if (drainedBytes > maxDrainedBytes) end();
  };
  const cancel = clock.after(maxDrainMs, end);
  request.on("data", onData).on("end", end).on("close", end).resume();
}

function lengthOf(body: string | undefined): OutgoingHttpHeaders {
  return body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
}

function awaitsBody(request: IncomingMessage): boolean {
  if (request.complete || request.destroyed) return false;
  return request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
}

/** Every reply that is not a file or a page is for programs: nothing in it may run or be framed. */
const securityHeaders: OutgoingHttpHeaders = {
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};
