import { join } from "node:path";

/**
 * The whole tree of one node's data directory. No other file spells one of these names.
 *
 *   <dir>/
 *   ├── lock/               an empty LevelDB; who has it open owns <dir>                  (lock.ts)
 *   ├── hard-state          8 KiB: identity, term, vote, what was promised                (hard-state-file.ts)
 *   ├── hard-state.new      the former, being created; never read
 *   ├── log-<n>/            LevelDB: the replicated log; `hard-state` names the <n> in use (log-store.ts)
 *   ├── catalog-<n>/        LevelDB: the applied catalog; likewise                         (catalog-store.ts)
 *   ├── blobs/              visible blobs; the tree below it belongs to the blob store      (blobs/)
 *   └── stage/              blobs being written, emptied on every start                     (blobs/)
 *
 * `lost+found` is tolerated, so that <dir> may be a mount point.
 */
export interface Layout {
  readonly root: string;
  readonly lock: string;
  readonly hardState: string;
  readonly newHardState: string;
  readonly blobs: string;
  readonly stage: string;
  log(generation: number): string;
  catalog(generation: number): string;
}

/** Builds every path below the data directory `root`; the only place that does. */
export function layoutOf(root: string): Layout {
  return {
    root,
    lock: join(root, "lock"),
    hardState: join(root, "hard-state"),
    newHardState: join(root, "hard-state.new"),
    blobs: join(root, "blobs"),
    stage: join(root, "stage"),
    log: (generation) => join(root, `log-${generation}`),
    catalog: (generation) => join(root, `catalog-${generation}`),
  };
}

/** What a name directly below the data directory stands for; `foreign` when this program never makes such a name. */
export type NameMeaning =
  | { readonly type: "ignored" } // may lie in a blank directory too
  | { readonly type: "part" }
  | { readonly type: "generation"; readonly of: "log" | "catalog"; readonly generation: number }
  | { readonly type: "foreign" };

const generationName = /^(log|catalog)-([1-9][0-9]{0,8})$/;

/** Classifies one directory entry of the data directory. */
export function meaningOf(name: string): NameMeaning {
  if (name === "lock" || name === "lost+found" || name === "hard-state.new") return { type: "ignored" };
  if (name === "hard-state" || name === "blobs" || name === "stage") return { type: "part" };
  const match = generationName.exec(name);
  if (match === null) return { type: "foreign" };
  return { type: "generation", of: match[1] as "log" | "catalog", generation: Number(match[2]) };
}
