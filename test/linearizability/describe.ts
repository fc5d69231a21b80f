import type { Invocation, Verdict } from "./checker.ts";

const shownOperations = 10;

/** A violation in words: the last operations that could be ordered, and what fits behind none of those orders. */
export function describeViolation({ name, placed, stuck }: Extract<Verdict, { readonly type: "violation" }>): string {
  const last = placed.slice(-shownOperations).map(describeInvocation).join("\n  ");
  return `${name}: after\n  ${last}\nnone of these fits\n  ${stuck.map(describeInvocation).join("\n  ")}`;
}

function describeInvocation({ process, operation, outcome, calledAt }: Invocation): string {
  const value = "value" in operation ? ` ${operation.value}` : "";
  const returned =
    outcome === undefined ? "unknown" : `${outcome.returnedAt.toFixed(1)} ${JSON.stringify(outcome.result)}`;
  return `${process} ${calledAt.toFixed(1)} ${operation.type}${value} → ${returned}`;
}
