import type { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import type { BlobFacts, Copy } from "../catalog/types.ts";
import type { BlobSink } from "../transport/types.ts";
import { attemptEach } from "./attempts.ts";

/** A node that has made its copy durable. */
export type MadeCopy = Pick<Copy, "node" | "staged">;

/** A node that could not make its copy, and why. */
export interface FailedCopy {
  readonly node: NodeId;
  readonly error: DepositoError;
}

/**
 * Writes one stream of bytes to several nodes at once.
 *
 *            ┌─► sink n1 (own disk)
 *   chunk ──►├─► sink n2 ✗ ──► dropped, in `failed`; the others go on
 *            └─► sink n3 (the slowest decides when the next chunk may come)
 *
 * A sink that failed is out for good: it misses bytes.
 */
export class CopyFanOut {
  readonly failed: FailedCopy[] = [];
  #sinks: readonly BlobSink[] = [];
  /** Aborts of dropped sinks, which nobody waits for until the end: a dead node answers them late. */
  readonly #aborts: Promise<unknown>[] = [];

  /** Opens sinks on the first `count` of `candidates` that take one; on fewer when there are not as many. */
  async open(
    candidates: readonly NodeId[],
    count: number,
    openSink: (node: NodeId) => Promise<BlobSink>,
  ): Promise<void> {
    const untried = [...candidates];
    while (untried.length > 0 && this.#sinks.length < count) {
      const opened = await attemptEach(untried.splice(0, count - this.#sinks.length), openSink);
      this.#sinks = [...this.#sinks, ...opened.succeeded.map(({ result }) => result)];
      this.failed.push(...opened.failed.map(({ target, error }) => ({ node: target, error })));
    }
  }

  /** No sink is left: the stream has nowhere to go. */
  get isDry(): boolean {
    return this.#sinks.length === 0;
  }

  /** Resolves when every sink that is left takes the next chunk. */
  async write(chunk: Uint8Array): Promise<void> {
    await this.#onEach((sink) => sink.write(chunk));
  }

  /** Makes the copies durable, and answers those that are, once the last one has ended. */
  async commit(facts: BlobFacts): Promise<readonly MadeCopy[]> {
    const committed = await this.#onEach((sink) => sink.commit(facts));
    this.#sinks = [];
    return committed.map(({ target, result }) => ({ node: target.node, staged: result }));
  }

  /** Nothing is kept on any node whose copy was not committed. */
  async abort(): Promise<void> {
    for (const sink of this.#sinks) this.#giveUp(sink);
    this.#sinks = [];
    await Promise.all(this.#aborts);
  }

  async #onEach<R>(act: (sink: BlobSink) => Promise<R>) {
    const { succeeded, failed } = await attemptEach(this.#sinks, act);
    this.#sinks = succeeded.map(({ target }) => target);
    for (const { target, error } of failed) {
      this.failed.push({ node: target.node, error });
      this.#giveUp(target);
    }
    return succeeded;
  }

  #giveUp(sink: BlobSink): void {
    this.#aborts.push(attemptEach([sink], (each) => each.abort()));
  }
}
