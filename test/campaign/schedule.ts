import { between, pick, type Random, type Range, seededRandom } from "../support/seeded-random.ts";
import type { Fault } from "./field.ts";

/** One fault to come. */
export interface PlannedFault {
  readonly fault: Fault;
  /** After the fault before has struck. */
  readonly waitMs: number;
  readonly lastsMs: number;
  /** What it draws from when it strikes: which nodes, which bits. */
  readonly random: Random;
}

/** How one round hurts. */
export interface Plan {
  /** Some of all faults: a round without leader kills gets further with others. */
  readonly faults: readonly Fault[];
  /** Beyond this many at a time, the next one waits. */
  readonly maxAtOnce: number;
  readonly next: () => PlannedFault;
}

/** Of the faults that a round may have, so many it has. */
const share: Range = { from: 0.6, to: 1 };
const maxAtOnce: Range = { from: 2, to: 5 };
/** The mean pause between two faults, for a round. */
const meanWaitMs: Range = { from: 700, to: 1800 };

/** Draws a round from its seed: the same kinds, pauses, durations and chances for the same seed and choice of faults. */
export function drawPlan(seed: number, possible: readonly Fault[]): Plan {
  const random = seededRandom(seed);
  const shareOfRound = between(share, random);
  const drawn = possible.filter(() => random() < shareOfRound);
  const faults = drawn.length === 0 ? possible : drawn;
  const weighted = faults.flatMap((fault) => Array<Fault>(fault.weight).fill(fault));
  const waitMs = between(meanWaitMs, random);
  return {
    faults,
    maxAtOnce: Math.round(between(maxAtOnce, random)),
    next: () => {
      const fault = pick(weighted, random);
      return {
        fault,
        waitMs: between({ from: 0, to: 2 * waitMs }, random),
        lastsMs: between(fault.lastsMs, random),
        random: seededRandom(Math.floor(random() * 2 ** 32)),
      };
    },
  };
}
