import type { RaftSettings } from "../../node/base/settings.ts";
import { defaultTuning, type ReplicationTuning } from "../../node/replication/replication-options.ts";
import { type FaultName, faultNames } from "./faults/fault.ts";
import { Lots } from "./lots.ts";
import type { NetworkHabits } from "./network/links.ts";

/** Everything that one seed decides beforehand. Which faults are on is drawn too: all at once would hide what few of them do. */
export interface Plan {
  readonly seed: number;
  readonly nodes: number;
  /** How long clients and faults are at work; the quiet end comes after. */
  readonly durationMs: number;
  readonly raft: RaftSettings;
  readonly tuning: ReplicationTuning;
  /** A LevelDB begins another file of its write-ahead log after so much. */
  readonly walBytes: number;
  readonly network: NetworkHabits;
  readonly faults: readonly FaultName[];
  readonly faultEveryMs: number;
  readonly faultLastsMs: number;
  /** Nodes come and go. Not where disks are bad: a lost node must be removed by hand, and counts until then. */
  readonly changesMembers: boolean;
  readonly clients: number;
  readonly names: number;
  /** Every file has at least so many replicas: enough for what the bad disks of this world may lose. */
  readonly minReplicas: number;
  /** A client waits about this long between two operations. */
  readonly thinkMs: number;
}

export interface PlanWishes {
  readonly nodes?: number | undefined;
  readonly durationMs?: number | undefined;
  /** Faults that shall not happen, whatever the seed says. */
  readonly without?: readonly string[] | undefined;
}

/** Faults after which a node may have lost bytes that it said it held. */
const losing: ReadonlySet<FaultName> = new Set([
  "fail a sync",
  "flip a bit of a blob",
  "flip a bit of the hard state",
  "misdirect a write",
  "empty a data directory",
]);

/** What operators do to the group. */
const changing: ReadonlySet<FaultName> = new Set(["hand leadership over", "add a node", "remove a node"]);

export function drawPlan(seed: number, wishes: PlanWishes = {}): Plan {
  const lots = new Lots(seed, "plan");
  const nodes = lots.happens(0.75) ? 3 : 5;
  const share = lots.pick([0.15, 0.3, 0.5, 0.8]);
  const changesMembers = lots.happens(0.35);
  const faults = faultNames.filter((name) => {
    const isDrawn = lots.happens(share);
    return changing.has(name) ? changesMembers : isDrawn && !(changesMembers && losing.has(name));
  });
  const sometimes = (probability: number) => (lots.happens(0.3) ? probability * lots.next() : 0);
  const without = new Set(wishes.without);
  const count = wishes.nodes ?? nodes;
  const keep = (name: string, value: number) => (without.has(name) ? 0 : value);
  return {
    seed,
    nodes: count,
    durationMs: wishes.durationMs ?? lots.between(10_000, 40_000),
    raft: { heartbeatMs: 50, electionTimeoutMs: 500 },
    tuning: {
      ...defaultTuning,
      syncEveryEntries: lots.pick([4, 16, 64, 256]),
      keepEntries: lots.pick([0, 4, 16, 128]),
      checkpointEntries: lots.pick([8, 16, 64]),
      core: {
        maxAppendBytes: lots.pick([512, 4096, 1 << 20]),
        maxInflightAppends: lots.pick([1, 2, 64]),
        maxUncommittedBytes: lots.pick([4096, 64 << 20]),
        maxCachedBytes: lots.pick([0, 2048, 16 << 20]),
      },
    },
    walBytes: lots.pick([4096, 1 << 16, 1 << 20]),
    network: {
      typicalDelayMs: lots.pick([0.2, 0.5, 1, 3]),
      frameLoss: keep("frame loss", sometimes(0.05)),
      frameDuplication: keep("frame duplication", sometimes(0.2)),
      frameReordering: keep("frame reordering", sometimes(0.1)),
      callBreaks: keep("call breaks", sometimes(0.02)),
      cutsHold: lots.happens(0.5),
    },
    faults: faults.filter((name) => !without.has(name)),
    faultEveryMs: lots.pick([300, 800, 2000, 5000]),
    faultLastsMs: lots.pick([200, 1000, 3000]),
    changesMembers,
    clients: 2 + lots.int(3),
    names: 1 + lots.int(4),
    minReplicas: faults.some((name) => losing.has(name)) ? 2 * Math.floor((count - 1) / 2) : 1,
    thinkMs: lots.pick([40, 200, 600]),
  };
}
