import type { Sha256, Version } from "../base/ids.ts";
import type { Match, Outcome, Preconditions, RefusalCode } from "./types.ts";

/** The tag of a file: its bytes. Quoted, as in the `ETag` field. */
export function fileTag(sha256: Sha256): string {
  return `"${sha256}"`;
}

/** The tag of a record: it changes with everything a client can change, the count too. */
export function recordTag(version: Version): string {
  return `"v${version}"`;
}

/**
 * Refuses with `precondition-failed` when `If-Match` or `If-None-Match` does not hold; undefined when both do.
 * `tag` is what stands there, undefined for nothing. Tags are compared with their quotes (RFC 9110 §13.1): a weak one
 * (`W/"…"`) never satisfies `If-Match`, and counts like a strong one for `If-None-Match`.
 */
export function refuseByPreconditions(preconditions: Preconditions, tag: string | undefined): Outcome | undefined {
  const { ifMatch, ifNoneMatch } = preconditions;
  const stands = tag === undefined ? "nothing stands there" : `what stands there has the tag ${tag}`;
  if (ifMatch !== undefined && !matches(ifMatch, tag))
    return refuse("precondition-failed", `If-Match does not hold: ${stands}`);
  if (ifNoneMatch !== undefined && matches(withoutWeakness(ifNoneMatch), tag))
    return refuse("precondition-failed", `If-None-Match does not hold: ${stands}`);
  return undefined;
}

export function refuse(code: RefusalCode, detail: string): Outcome {
  return { type: "refused", code, detail };
}

function matches(match: Match, tag: string | undefined): boolean {
  if (tag === undefined) return false;
  return match.type === "any" || match.tags.includes(tag);
}

function withoutWeakness(match: Match): Match {
  if (match.type === "any") return match;
  return { type: "tags", tags: match.tags.map((tag) => (tag.startsWith("W/") ? tag.slice(2) : tag)) };
}
