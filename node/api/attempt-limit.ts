import type { Request, Response } from "express";
import { ipKeyGenerator, rateLimit } from "express-rate-limit";
import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";

const windowMs = 60_000;
const maxExhausted = 10_000;

/** How often one address (an IPv6 one counts as its /56) may attempt something in a minute. */
export class AttemptLimit {
  readonly #clock: Clock;
  readonly #what: string;
  readonly #middleware: ReturnType<typeof rateLimit>;
  /** Addresses over the limit, and until when by the monotonic clock: all that is looked up before an attempt. */
  readonly #exhausted = new Map<string, number>();

  constructor(options: { readonly what: string; readonly perMinute: number; readonly clock: Clock }) {
    this.#clock = options.clock;
    this.#what = options.what;
    this.#middleware = rateLimit({
      windowMs,
      limit: options.perMinute,
      keyGenerator: addressOf,
      standardHeaders: false,
      legacyHeaders: false,
      validate: false,
      handler: (request) => this.#exhaust(addressOf(request)),
    });
  }

  /** @throws {DepositoError} `too-many-requests`, with `Retry-After`, while this address is over the limit. */
  refuseExhausted(request: Request, response: Response): void {
    if (this.#exhausted.size === 0) return;
    const address = addressOf(request);
    const leftMs = (this.#exhausted.get(address) ?? 0) - this.#clock.monotonicMs();
    if (leftMs > 0) {
      response.setHeader("Retry-After", String(Math.ceil(leftMs / 1000)));
      throw new DepositoError("too-many-requests", `too many ${this.#what} from this address`);
    }
    this.#exhausted.delete(address);
  }

  /** Counts one attempt. @throws {DepositoError} `too-many-requests`, with `Retry-After`, when it is one too many. */
  async count(request: Request, response: Response): Promise<void> {
    this.refuseExhausted(request, response);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // It calls back when the attempt is within the limit; otherwise its handler has run by the time it resolves.
    const done: unknown = this.#middleware(request, response, (error?: unknown) =>
      error === undefined ? resolve() : reject(error),
    );
    await Promise.race([promise, done]);
    this.refuseExhausted(request, response);
  }

  #exhaust(address: string): void {
    if (this.#exhausted.size >= maxExhausted) this.#exhausted.clear();
    this.#exhausted.set(address, this.#clock.monotonicMs() + windowMs);
  }
}

function addressOf(request: Request): string {
  return ipKeyGenerator(request.socket.remoteAddress ?? "");
}
