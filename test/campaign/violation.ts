/**
 * What breaks a promise.
 *
 *   lost             acknowledged bytes, or an acknowledged removal, that a healed cluster does not show
 *   non-linearizable a history that no order explains, or (undecided) one that the checker could not judge in its limits
 *   surprise         an answer that the contract does not allow
 *   not healed       no leader, a node not ready, replicas missing, or no answer, long after the last fault
 *   replicas         disks that do not hold what the records say
 *   leftover         bytes that a node should have removed when it stopped
 *   ended            a node that ended by itself, or did not when it was told to
 *   log              what a node must never say
 */
export interface Violation {
  readonly kind:
    | "lost"
    | "non-linearizable"
    | "undecided"
    | "surprise"
    | "not healed"
    | "replicas"
    | "leftover"
    | "ended"
    | "log";
  readonly text: string;
}
