import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { BlobId, NodeId, Staged } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { BlobFacts } from "../catalog/types.ts";
import { type CallTarget, type PeerHttp, unreachable } from "./peer-http.ts";
import { finalPiece, pieceHead, sinkPreamble } from "./sink-framing.ts";
import type { BlobSink } from "./types.ts";

export interface RemoteSinkOptions {
  readonly http: PeerHttp;
  readonly target: CallTarget & { readonly node: NodeId };
  readonly path: string;
  readonly blobId: BlobId;
  readonly clock: Clock;
  /** For the holder to say that it is ready. */
  readonly openMs: number;
  /** For the holder to take the next piece, and between its signs of life while it makes the blob durable. */
  readonly progressMs: number;
  /** For making the blob durable in all. */
  readonly commitMs: number;
  /** Reads the holder's answer to a whole body. */
  readonly readStaged: (text: string) => Staged;
  readonly readText: (answer: Awaited<ReturnType<PeerHttp["call"]>>) => Promise<string>;
}

/** Bytes on their way to the body of the request; `taken` once the connection asks for more. */
interface Offer {
  readonly parts: readonly Uint8Array[];
  readonly last: boolean;
  readonly taken: () => void;
}

/** A blob on its way to a peer's disk, as the body of one request (`sink-framing.ts`). */
export class RemoteSink implements BlobSink {
  readonly node: NodeId;
  readonly #options: RemoteSinkOptions;
  readonly #connection = new AbortController();
  readonly #answer: Promise<Staged>;
  readonly #ready = Promise.withResolvers<void>();
  #offer: Offer | undefined;
  #wakeBody: () => void = () => {};
  /** Why nothing more can be written; set once. */
  #failure: Error | undefined;
  readonly #failed = Promise.withResolvers<never>();
  #commitStarted = false;
  #onSign: () => void = () => {};

  /** Resolves once the holder is ready to store. @throws {DepositoError} `peer-unreachable`, `not-enough-space`, … */
  static async open(options: RemoteSinkOptions): Promise<RemoteSink> {
    const sink = new RemoteSink(options);
    await sink.#within(options.openMs, "did not take the blob", () => sink.#ready.promise);
    return sink;
  }

  private constructor(options: RemoteSinkOptions) {
    this.#options = options;
    this.node = options.target.node;
    // A failure nobody waits for yet is told to whoever writes or commits next.
    this.#failed.promise.catch(() => {});
    this.#answer = this.#call();
    this.#answer.catch((error: unknown) => this.#fail(error));
  }

  async write(chunk: Uint8Array): Promise<void> {
    invariant(!this.#commitStarted, () => `write to blob ${this.#options.blobId} after its commit`);
    if (chunk.length === 0) return;
    await this.#within(this.#options.progressMs, "takes no bytes", () =>
      this.#hand([pieceHead(chunk.length), chunk], false),
    );
  }

  async commit(facts: BlobFacts): Promise<Staged> {
    invariant(!this.#commitStarted, () => `second commit of blob ${this.#options.blobId}`);
    this.#commitStarted = true;
    await this.#within(this.#options.progressMs, "takes no bytes", () => this.#hand([finalPiece(facts)], true));
    return this.#durable();
  }

  async abort(): Promise<void> {
    this.#fail(new DepositoError("peer-unreachable", `blob ${this.#options.blobId} was given up`));
  }

  async #call(): Promise<Staged> {
    const { http, target, path } = this.#options;
    const answer = await http.call(target, {
      method: "PUT",
      path,
      lane: "long",
      body: this.#body(),
      contentType: "application/octet-stream",
      progressMs: undefined,
      signal: this.#connection.signal,
      onProcessing: () => {
        this.#ready.resolve();
        this.#onSign();
      },
    });
    return this.#options.readStaged(await this.#options.readText(answer));
  }

  /** undici asks for the next part when the socket has room for it: that is the back-pressure. */
  async *#body(): AsyncGenerator<Uint8Array> {
    yield sinkPreamble;
    for (;;) {
      if (this.#offer === undefined && this.#failure === undefined) {
        await new Promise<void>((resolve) => {
          this.#wakeBody = resolve;
        });
      }
      const offer = this.#offer;
      // Ending here without the final piece tells the holder to keep nothing.
      if (offer === undefined || this.#failure !== undefined) return;
      yield* offer.parts;
      this.#offer = undefined;
      offer.taken();
      if (offer.last) return;
    }
  }

  #hand(parts: readonly Uint8Array[], last: boolean): Promise<void> {
    invariant(this.#offer === undefined, () => `two writes at once to blob ${this.#options.blobId}`);
    return new Promise((taken) => {
      this.#offer = { parts, last, taken };
      this.#wakeBody();
    });
  }

  /** Waits for the answer for as long as signs of life come, within `commitMs`. */
  async #durable(): Promise<Staged> {
    const { clock, commitMs, progressMs } = this.#options;
    let cancelSilence: () => void = () => {};
    const watch = () => {
      cancelSilence();
      cancelSilence = clock.after(progressMs, () => this.#fail(this.#timeout("is silent")));
    };
    const cancelCommit = clock.after(commitMs, () => this.#fail(this.#timeout("does not make the blob durable")));
    this.#onSign = watch;
    watch();
    try {
      return await Promise.race([this.#answer, this.#failed.promise]);
    } finally {
      this.#onSign = () => {};
      cancelSilence();
      cancelCommit();
    }
  }

  async #within<T>(deadlineMs: number, what: string, work: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure;
    const cancel = this.#options.clock.after(deadlineMs, () => this.#fail(this.#timeout(what)));
    try {
      return await Promise.race([work(), this.#failed.promise]);
    } finally {
      cancel();
    }
  }

  #timeout(what: string): DepositoError {
    return unreachable(this.#options.target, new Error(what));
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error instanceof Error ? error : unreachable(this.#options.target, error);
    this.#failed.reject(this.#failure);
    this.#connection.abort(this.#failure);
    this.#wakeBody();
  }
}
