import type { IncomingHttpHeaders } from "node:http";
import { matchesTag, parseIfMatch, parseIfNoneMatch } from "./entity-tags.ts";

/** What a representation is known by. */
export interface Validators {
  /** Quoted and strong. */
  readonly etag: string;
  /** `Last-Modified` in milliseconds; the HTTP date has whole seconds. */
  readonly modifiedMs: number;
}

export type ReadVerdict = "send" | "not-modified" | "precondition-failed";

/**
 * Evaluates a read's preconditions in the order of RFC 9110 §13.2.2; a date that is not an HTTP date is ignored.
 * @throws {DepositoError} `invalid-header`: `If-Match` or `If-None-Match` is malformed.
 */
export function evaluateRead(headers: IncomingHttpHeaders, validators: Validators): ReadVerdict {
  const ifMatch = parseIfMatch(headers["if-match"]);
  const ifNoneMatch = parseIfNoneMatch(headers["if-none-match"]);
  const modifiedMs = Math.floor(validators.modifiedMs / 1000) * 1000;
  if (ifMatch !== undefined) {
    if (!matchesTag(ifMatch, validators.etag)) return "precondition-failed";
  } else {
    const unmodifiedSince = parseHttpDate(headers["if-unmodified-since"]);
    if (unmodifiedSince !== undefined && modifiedMs > unmodifiedSince) return "precondition-failed";
  }
  if (ifNoneMatch !== undefined) return matchesTag(ifNoneMatch, validators.etag) ? "not-modified" : "send";
  const modifiedSince = parseHttpDate(headers["if-modified-since"]);
  return modifiedSince !== undefined && modifiedMs <= modifiedSince ? "not-modified" : "send";
}

/**
 * Whether a `Range` may be served: without `If-Range`, or when it is the strong tag. A date never is: two changes
 * within one second have the same `Last-Modified`, so it proves nothing about the bytes (RFC 9110 §8.8.2.2).
 */
export function allowsRange(headers: IncomingHttpHeaders, etag: string): boolean {
  const ifRange = headers["if-range"];
  return ifRange === undefined || ifRange === etag;
}

/** Milliseconds since 1970 of an IMF-fixdate, the one form that is sent today; undefined for anything else. */
function parseHttpDate(value: string | undefined): number | undefined {
  if (value === undefined || !/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(value))
    return undefined;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : ms;
}
