import { DepositoError } from "../base/errors.ts";

/** What became of the same act on several targets, in the targets' order. */
export interface Attempts<T, R> {
  readonly succeeded: readonly { readonly target: T; readonly result: R }[];
  readonly failed: readonly { readonly target: T; readonly error: DepositoError }[];
}

/**
 * Acts on all targets at once and waits for all of them. Expected failures are part of the answer.
 * @throws whatever is not a `DepositoError`: a bug.
 */
export async function attemptEach<T, R>(
  targets: readonly T[],
  act: (target: T) => Promise<R>,
): Promise<Attempts<T, R>> {
  const succeeded: { target: T; result: R }[] = [];
  const failed: { target: T; error: DepositoError }[] = [];
  const settled = await Promise.allSettled(targets.map(act));
  for (const [index, target] of targets.entries()) {
    const outcome = settled[index];
    if (outcome?.status === "fulfilled") succeeded.push({ target, result: outcome.value });
    else if (outcome?.reason instanceof DepositoError) failed.push({ target, error: outcome.reason });
    else throw outcome?.reason;
  }
  return { succeeded, failed };
}
