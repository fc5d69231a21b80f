import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";

/** The socket rests while this many bytes wait for the disk and the peers: back-pressure without starving them. */
const maxQueuedBytes = 512 * 1024;

export interface UploadBodyOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly maxBytes: number;
  /** What a longer body fails with. */
  readonly tooLarge: () => DepositoError;
  /** The client may be silent this long while bytes are awaited. */
  readonly idleMs: number;
  readonly clock: Clock;
}

/**
 * The body of a request, to be read once. Nothing is read before the first chunk is asked for, and the chunks are handed
 * on as they came from the socket. Ends with `upload-aborted` when the client goes away, `upload-timeout` when it is silent
 * too long, or the error of `tooLarge`. Time that the reader takes is not held against the client.
 */
export class UploadBody implements AsyncIterable<Uint8Array> {
  readonly #options: UploadBodyOptions;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #receivedBytes = 0;
  #continued = false;
  #ended = false;
  #failure: DepositoError | undefined;
  #wake: (() => void) | undefined;

  constructor(options: UploadBodyOptions) {
    this.#options = options;
  }

  /** Whether the client waits for `100 Continue` before it sends the body. */
  get awaited(): boolean {
    return !this.#continued && expectsContinue(this.#options.request);
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Tells a waiting client to send the body; may be called twice. */
  want(): void {
    if (this.awaited) this.#options.response.writeContinue();
    this.#continued = true;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    this.want();
    const { request } = this.#options;
    const onData = (chunk: Uint8Array): void => this.#received(chunk);
    const onEnd = (): void => this.#end();
    const onClose = (): void => this.#fail(aborted);
    if (request.destroyed && !request.complete) throw aborted();
    request.on("data", onData).on("end", onEnd).on("error", onClose).on("close", onClose);
    try {
      for (;;) {
        const chunk = await this.#next();
        if (chunk === undefined) return;
        yield chunk;
      }
    } finally {
      request.off("data", onData).off("end", onEnd).off("error", onClose).off("close", onClose);
      if (!this.#ended) request.pause();
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#failure === undefined ? this.#queue.shift() : undefined;
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.byteLength;
        if (this.#queuedBytes < maxQueuedBytes) this.#options.request.resume();
        return chunk;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return undefined;
      await this.#wait();
    }
  }

  #wait(): Promise<void> {
    const { clock, idleMs } = this.#options;
    return new Promise<void>((resolve) => {
      const cancel = clock.after(idleMs, () => this.#fail(() => timedOut(idleMs)));
      this.#wake = () => {
        cancel();
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #received(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return;
    this.#receivedBytes += chunk.byteLength;
    if (this.#receivedBytes > this.#options.maxBytes) return this.#fail(this.#options.tooLarge);
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.byteLength;
    if (this.#queuedBytes >= maxQueuedBytes) this.#options.request.pause();
    this.#wake?.();
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  #fail(failure: () => DepositoError): void {
    if (!this.#ended) this.#failure ??= failure();
    this.#wake?.();
  }
}

/** `node:http` refuses every other expectation before a route sees the request; HTTP/1.0 has none. */
export function expectsContinue(request: IncomingMessage): boolean {
  return request.headers.expect !== undefined && request.httpVersion === "1.1";
}

function aborted(): DepositoError {
  return new DepositoError("upload-aborted", "the client went away before its last byte");
}

function timedOut(idleMs: number): DepositoError {
  return new DepositoError("upload-timeout", `no byte of the body came for ${idleMs} ms`);
}
