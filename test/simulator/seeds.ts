/** A seed that found a bug, and with what was left out. It must never fail again. */
export interface Regression {
  readonly seed: number;
  /** What was wrong. */
  readonly why: string;
  readonly nodes?: number;
}

/** Seeds count by the order in which the simulator draws its lots: a change of the simulator may take the point out of one. */
export const regressions: readonly Regression[] = [];
