/** How patient consensus is. */
export interface RaftSettings {
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
}

/** How replicas are looked after. */
export interface RepairSettings {
  /** A node silent for longer counts as lost. */
  readonly graceMs: number;
  readonly scrubIntervalHours: number;
  /** What repair may read or write on one node. */
  readonly maxMiBPerSecond: number;
}

/** What a node refuses. */
export interface Limits {
  readonly maxFileBytes: number;
  /** An upload that brings no byte for this long is given up. */
  readonly uploadIdleMs: number;
  /** Below this much free space a node takes no new bytes. */
  readonly minFreeBytes: number;
}
