import { logIndex, term } from "../../../node/base/ids.ts";
import type { Entry, HardState, LogPosition } from "../../../node/raft/types.ts";
import type { LogStore } from "../../../node/storage/types.ts";

/** One write of the log that a test lets succeed or fail. */
export interface GatedWrite {
  readonly what: string;
  finish(): void;
  fail(error: unknown): void;
}

/** A log whose writes end when the test says so; `begun` tells what was asked of it so far, in order. */
export class GatedLog implements LogStore {
  readonly recovered: LogStore["recovered"] = {
    hardState: { term: term(1), votedFor: undefined },
    base: { index: logIndex(1), term: term(1) },
    lastIndex: logIndex(1),
    termRuns: [],
    lostPromises: false,
    promisedIndex: undefined,
  };
  readonly begun: string[] = [];
  readonly #open: GatedWrite[] = [];
  readonly #awaited: ((write: GatedWrite) => void)[] = [];
  /** What `read` answers. */
  reading: () => Promise<readonly Entry[]> = async () => [];

  /** The oldest write that no test took yet, as soon as it begins. */
  next(): Promise<GatedWrite> {
    const write = this.#open.shift();
    return write === undefined ? new Promise((resolve) => this.#awaited.push(resolve)) : Promise.resolve(write);
  }

  /** Lets the next write succeed; what it was. */
  async finishNext(): Promise<string> {
    const write = await this.next();
    write.finish();
    return write.what;
  }

  persist({ hardState, append }: { readonly hardState: HardState | undefined; readonly append: readonly Entry[] }) {
    const state = hardState === undefined ? [] : [`term ${hardState.term} vote ${hardState.votedFor ?? "-"}`];
    const entries = append.map(({ index, term: ofTerm }) => `${index}@${ofTerm}`);
    return this.#gate(["persist", ...state, ...entries].join(" "));
  }
  trim(through: LogPosition): Promise<void> {
    return this.#gate(`trim ${through.index}`);
  }
  reset(base: LogPosition): Promise<void> {
    return this.#gate(`reset ${base.index}`);
  }
  promisesRefilled(): Promise<void> {
    return this.#gate("refilled");
  }
  read(): Promise<readonly Entry[]> {
    return this.reading();
  }

  #gate(what: string): Promise<void> {
    this.begun.push(what);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const write: GatedWrite = { what, finish: resolve, fail: reject };
    const awaited = this.#awaited.shift();
    if (awaited === undefined) this.#open.push(write);
    else awaited(write);
    return promise;
  }
}
