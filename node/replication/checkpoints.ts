import type { LogIndex, NodeId } from "../base/ids.ts";
import { logIndex } from "../base/ids.ts";
import type { CatalogMeta } from "../catalog/apply.ts";
import { digestHex } from "../catalog/digest.ts";

/** The digest of the whole catalog at one index; hexadecimal. */
export interface Checkpoint {
  readonly index: LogIndex;
  readonly digest: string;
}

/** Digests are taken at every multiple of this, on all nodes alike. */
export const checkpointEntries = 64;
/** How many of its own checkpoints a node remembers, to compare with those of slower peers. */
const kept = 1024;

/**
 * Compares the catalog with those of the peers at equal indexes. Nodes that applied the same entries have the same
 * digest; one that differs from a majority of the others has a damaged catalog or a bug.
 */
export class Checkpoints {
  readonly #everyEntries: number;
  readonly #own = new Map<LogIndex, string>();
  #latest: Checkpoint | undefined;
  /** Who said otherwise, by index. */
  readonly #others = new Map<LogIndex, Map<NodeId, string>>();

  constructor(everyEntries: number = checkpointEntries) {
    this.#everyEntries = everyEntries;
  }

  get latest(): Checkpoint | undefined {
    return this.#latest;
  }

  nextAfter(index: LogIndex): LogIndex {
    return logIndex((Math.floor(index / this.#everyEntries) + 1) * this.#everyEntries);
  }

  record(meta: CatalogMeta): void {
    const { index } = meta.applied;
    if (index % this.#everyEntries !== 0) return;
    this.#latest = { index, digest: digestHex(meta.digest) };
    this.#own.set(index, this.#latest.digest);
    forgetOldest(this.#own);
  }

  /** Starts over after another catalog took the place of this one. */
  clear(): void {
    this.#own.clear();
    this.#others.clear();
    this.#latest = undefined;
  }

  /**
   * Takes a peer's checkpoint in. `agree`: the same as ours; `unknown`: not comparable; `differ`: it is not ours;
   * `outvoted`: so many of `others` other nodes say the same and differ from us that ours must be the damaged one.
   */
  compare(peer: NodeId, checkpoint: Checkpoint, others: number): "agree" | "unknown" | "differ" | "outvoted" {
    const own = this.#own.get(checkpoint.index);
    if (own === undefined) return "unknown";
    if (own === checkpoint.digest) return "agree";
    const said = this.#others.get(checkpoint.index) ?? new Map<NodeId, string>();
    said.set(peer, checkpoint.digest);
    this.#others.set(checkpoint.index, said);
    forgetOldest(this.#others);
    const alike = [...said.values()].filter((digest) => digest === checkpoint.digest).length;
    // The others together must be a majority of the whole group (them and us) of one mind.
    return alike > (others + 1) / 2 ? "outvoted" : "differ";
  }
}

function forgetOldest(map: Map<LogIndex, unknown>): void {
  if (map.size <= kept) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
