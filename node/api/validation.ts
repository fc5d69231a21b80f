import { z } from "zod";
import { DepositoError } from "../base/errors.ts";
import type { Exchange } from "./exchange.ts";
import { parseQuery } from "./target.ts";

const maxDetailLength = 500;

/** One line that names each wrong member by its path, cut where it grows too long for a problem document. */
export function describeIssues(error: z.ZodError): string {
  const text = error.issues
    .map(({ path, message }) => (path.length === 0 ? message : `'${z.core.toDotPath(path)}': ${message}`))
    .join("; ");
  return text.length <= maxDetailLength ? text : `${text.slice(0, maxDetailLength)}…`;
}

/**
 * The query of the request, as `schema` describes it.
 * @throws {DepositoError} `invalid-query`: unknown, repeated or out of range; the detail names the parameter.
 */
export function readQuery<T>({ target }: Exchange, schema: z.ZodType<T>): T {
  const result = schema.safeParse(Object.fromEntries(parseQuery(target.query)));
  if (result.success) return result.data;
  throw new DepositoError("invalid-query", describeIssues(result.error), { cause: result.error });
}

/** The query of a route that has no parameters. */
export const noQuery = z.strictObject({});
