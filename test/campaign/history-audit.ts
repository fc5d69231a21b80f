import { checkHistory, type Invocation } from "../linearizability/checker.ts";
import { describeViolation } from "../linearizability/describe.ts";
import type { Violation } from "./violation.ts";

export interface HistoryAudit {
  readonly violations: readonly Violation[];
  /** Names whose history was proved or refuted. */
  readonly decided: number;
  /** Names for which the checker reached its limits first. */
  readonly undecided: number;
}

/** Judges the history of each name by itself. */
export function auditHistory(history: readonly Invocation[]): HistoryAudit {
  const violations: Violation[] = [];
  let undecided = 0;
  const byName = Map.groupBy(history, ({ name }) => name);
  for (const [name, invocations] of byName) {
    const verdict = checkHistory(invocations);
    if (verdict.type === "violation") {
      violations.push({ kind: "non-linearizable", text: describeViolation(verdict) });
    } else if (verdict.type === "undecided") {
      undecided++;
      violations.push({ kind: "undecided", text: `${name} after ${verdict.steps} steps` });
    }
  }
  return { violations, decided: byName.size - undecided, undecided };
}
