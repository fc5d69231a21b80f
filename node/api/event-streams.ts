import type { ServerResponse } from "node:http";
import { type Clock, repeatedly } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { Exchange } from "./exchange.ts";

const keepAliveMs = 15_000;
/** What a client may leave unread, on top of what its system holds for it. */
const maxUnreadBytes = 64 * 1024;
/** After a broken connection, a client begins anew this much later. */
const retryMs = 1000;

/** One event as it is sent; `data` becomes one line of JSON. */
export interface SentEvent {
  readonly event: string;
  readonly data: unknown;
}

/**
 * Streams of events under way (text/event-stream, WHATWG HTML §9.2), so that they can be ended together. A client that
 * does not read is cut off rather than waited for: it comes back and begins with how things stand then.
 */
export class EventStreams {
  readonly #open = new Set<ServerResponse>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Answers with what `listen` tells, until either side ends; `listen` answers how to stop it.
   * @throws {DepositoError} `too-many-requests`
   */
  serve({ request, response, clock }: Exchange, listen: (tell: (event: SentEvent) => void) => () => void): void {
    if (this.#open.size >= this.#max)
      throw new DepositoError("too-many-requests", `${this.#max} event streams are open on this node already`);
    // Gone while its credentials were checked: it has closed already, and does not say so again.
    if (response.destroyed) return;
    response.writeHead(200, headers);
    if (request.method === "HEAD") return void response.end();
    response.write(`retry: ${retryMs}\n\n`);
    this.#open.add(response);
    const stop = listen(({ event, data }) => write(response, `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
    const rest = keepAlive(response, clock);
    response.once("close", () => {
      this.#open.delete(response);
      rest();
      stop();
    });
  }

  /** Ends all of them; whoever comes later is answered as ever. */
  end(): void {
    for (const response of this.#open) response.end();
  }
}

const headers = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Content-Type": "text/event-stream; charset=utf-8",
  "Referrer-Policy": "no-referrer",
  // Proxies must pass each event on as it comes.
  "X-Accel-Buffering": "no",
  "X-Content-Type-Options": "nosniff",
};

function keepAlive(response: ServerResponse, clock: Clock): () => void {
  return repeatedly(clock, keepAliveMs, () => write(response, ": keep-alive\n\n"));
}

function write(response: ServerResponse, text: string): void {
  if (response.writableEnded || response.destroyed) return;
  response.write(text);
  if (response.writableLength > maxUnreadBytes) response.destroy();
}
