import { DepositoError } from "../base/errors.ts";
import type { Outcome } from "../catalog/types.ts";

/**
 * What `decide` refused, as the error a depositor gets. A command that came too late to be told from a duplicate, or
 * names copies that may be swept, did not happen: the depositor may simply ask again.
 */
export function refusalError({ code, detail }: Extract<Outcome, { readonly type: "refused" }>): DepositoError {
  switch (code) {
    case "precondition-failed":
    case "file-not-found":
    case "replicas-out-of-range":
    case "unauthenticated":
    case "node-busy":
    case "node-not-found":
    case "already-a-member":
    case "last-voter":
      return new DepositoError(code, detail);
    case "behind-fence":
    case "too-few-copies":
    case "expired":
      return new DepositoError("not-enough-nodes", `the cluster was too slow for this request: ask again (${detail})`);
  }
}
