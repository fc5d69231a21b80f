/** What came of a round, or of many. */
export interface RoundTally {
  /** Operations of the history, those with unknown outcome included. */
  operations: number;
  /** Of those, how many outcomes were not learned. */
  unknown: number;
  /** Refused or not even sent: certainly without effect, and in no history. */
  withoutEffect: number;
  /** Changes in the ledger that were acknowledged. */
  acknowledged: number;
  /** Names that the checker decided. */
  decided: number;
  undecided: number;
  /** Reads of the audits. */
  auditReads: number;
  /** Intact replicas that records name, found on the disks after the last round. */
  replicas: number;
  /** What lay there besides: copies that no record names. */
  litterFiles: number;
  litterBytes: number;
  elections: number;
}

export function emptyTally(): RoundTally {
  return {
    operations: 0,
    unknown: 0,
    withoutEffect: 0,
    acknowledged: 0,
    decided: 0,
    undecided: 0,
    auditReads: 0,
    replicas: 0,
    litterFiles: 0,
    litterBytes: 0,
    elections: 0,
  };
}

/** Sums, key by key. */
export function addTallies(one: RoundTally, other: RoundTally): RoundTally {
  const sum = emptyTally();
  for (const key of Object.keys(sum) as (keyof RoundTally)[]) sum[key] = one[key] + other[key];
  return sum;
}
