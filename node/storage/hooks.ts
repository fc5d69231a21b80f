/** The moments at which a test may make the disk fail, or the process end. */
export type StorageStep =
  | "hard-state-write"
  | "hard-state-sync"
  | "level-write" // before a batch reaches LevelDB
  | "level-written" // after LevelDB took it, synced if that was asked
  | "generation-switched"; // the hard state names the new log or catalog; the former is still there

/** Called at each step; what it throws counts as the disk's own failure of that step. */
export type StorageHooks = (step: StorageStep) => void | Promise<void>;

/** The hooks of production: nothing happens. */
export const noHooks: StorageHooks = () => undefined;
