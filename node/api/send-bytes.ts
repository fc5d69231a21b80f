import { once } from "node:events";
import type { OutgoingHttpHeaders } from "node:http";
import { invariant } from "../base/invariant.ts";
import type { Retrieval } from "../depot/types.ts";
import type { Exchange } from "./exchange.ts";
import type { HttpMetrics } from "./http-metrics.ts";

export interface SendBytesOptions {
  readonly exchange: Exchange;
  readonly retrieval: Retrieval;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  /** A client that takes nothing for so long is cut off. */
  readonly idleMs: number;
  readonly metrics: HttpMetrics;
}

/**
 * Sends `[start, end)` of a file with back-pressure. The header fields leave with the first verified chunk, so that a file
 * that cannot be read is still answered with a problem document. A failure later breaks the connection: a reply that
 * ends early must never look complete. Reading stops when the client goes away.
 * @throws {DepositoError} whatever the retrieval fails with.
 */
export async function sendBytes(options: SendBytesOptions): Promise<void> {
  const { exchange, retrieval, start, end, status, headers, metrics } = options;
  const { response } = exchange;
  if (start === end) return void response.writeHead(status, headers).end();
  const gone = new AbortController();
  let sent = 0;
  let complete = false;
  response.once("close", () => {
    if (!complete) gone.abort();
  });
  try {
    for await (const chunk of retrieval.read({ start, end }, gone.signal)) {
      if (response.destroyed) return;
      sent += chunk.byteLength;
      invariant(sent <= end - start, () => `a replica handed out ${sent} bytes of ${end - start}`);
      if (!response.headersSent) response.writeHead(status, headers);
      if (sent === end - start) response.end(chunk);
      else if (!response.write(chunk)) await taken(options, "drain", gone.signal);
    }
    if (response.writableLength > 0) await taken(options, "finish", gone.signal);
    complete = sent === end - start;
    invariant(complete || gone.signal.aborted, () => `a replica ended after ${sent} bytes of ${end - start}`);
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  } finally {
    metrics.fileBytes("out", sent);
  }
}

/** Resolves once the client has taken what was written; cuts it off when that takes longer than `idleMs`. */
export async function taken(
  { exchange, idleMs }: Pick<SendBytesOptions, "exchange" | "idleMs">,
  event: "drain" | "finish",
  gone: AbortSignal,
): Promise<void> {
  const { response } = exchange;
  const cancel = exchange.clock.after(idleMs, () => response.destroy());
  try {
    await once(response, event, { signal: gone });
  } finally {
    cancel();
  }
}
