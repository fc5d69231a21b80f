import type { LogIndex, NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Effects } from "../raft/types.ts";
import { type PulledSnapshot, pullSnapshot, type SnapshotPull } from "./snapshot-install.ts";

export interface CatalogReplacementOptions
  extends Pick<SnapshotPull, "self" | "peers" | "begin" | "clock" | "logger" | "onTransfer"> {
  /** Whom to ask, best first. */
  readonly sources: (need: { readonly leader: NodeId; readonly atLeast: LogIndex }) => readonly NodeId[];
  /** Puts the pulled catalog in the place of the present one. */
  readonly replace: (pulled: PulledSnapshot) => Promise<void>;
  readonly onFatal: (error: unknown) => void;
}

/** Gets this node a new catalog from a peer while it runs, one at a time. */
export class CatalogReplacement {
  readonly #options: CatalogReplacementOptions;
  readonly #stopping = new AbortController();
  #underWay: Promise<void> | undefined;
  /** The newest word of a leader. */
  #need: SnapshotNeed | undefined;

  constructor(options: CatalogReplacementOptions) {
    this.#options = options;
  }

  get isUnderWay(): boolean {
    return this.#underWay !== undefined;
  }

  /**
   * A leader says that the log it still has begins after what this node holds. It says so again and again; what it names
   * may move on meanwhile, so that what is being pulled is of no use any more.
   */
  begin(need: SnapshotNeed): void {
    if (this.#stopping.signal.aborted) return;
    this.#need = need;
    if (this.#underWay !== undefined) return;
    const { logger, onFatal } = this.#options;
    logger.info({ leader: need.from, index: need.position.index }, "too far behind the log: pulling a snapshot");
    this.#underWay = this.#pullAndReplace().then(
      () => {
        this.#underWay = undefined;
      },
      (error: unknown) => {
        this.#underWay = undefined;
        if (!this.#stopping.signal.aborted) onFatal(error);
      },
    );
  }

  /** Resolves once nothing is pulled or put in place any more. */
  async stop(reason: Error): Promise<void> {
    this.#stopping.abort(reason);
    await this.#underWay;
  }

  async #pullAndReplace(): Promise<void> {
    const { sources, replace, onFatal: _, ...pull } = this.#options;
    const pulled = await pullSnapshot({
      ...pull,
      sources: () => sources(this.#wanted),
      atLeast: () => this.#wanted.atLeast,
      signal: this.#stopping.signal,
    });
    await replace(pulled);
  }

  get #wanted(): { readonly leader: NodeId; readonly atLeast: LogIndex } {
    const need = this.#need;
    invariant(need !== undefined, () => "a snapshot is pulled that nobody needs");
    return { leader: need.from, atLeast: need.position.index };
  }
}

type SnapshotNeed = NonNullable<Effects["snapshotNeeded"]>;
