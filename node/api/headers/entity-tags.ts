import type { IncomingHttpHeaders } from "node:http";
import { DepositoError } from "../../base/errors.ts";
import type { Match, Preconditions } from "../../catalog/types.ts";

/** One entity tag as it travels: perhaps weak, its opaque part with the quotes (RFC 9110 §8.8.3). */
interface EntityTag {
  readonly weak: boolean;
  readonly quoted: string;
}

// Sticky and without nested repetition, so that thousands of tags cost one pass.
const listItem = /[ \t]*(?:(W\/)?("[\x21\x23-\x7e\x80-\xff]*"))?[ \t]*(?:,|$)/y;

/**
 * The preconditions of a request that may change something; tags keep their quotes. `If-Match` compares strongly, so
 * weak tags drop out of it; `If-None-Match` compares weakly, so there `W/"a"` is `"a"` (RFC 9110 §13.1).
 * @throws {DepositoError} `invalid-header`
 */
export function parsePreconditions(headers: IncomingHttpHeaders): Preconditions {
  return { ifMatch: parseIfMatch(headers["if-match"]), ifNoneMatch: parseIfNoneMatch(headers["if-none-match"]) };
}

/** @throws {DepositoError} `invalid-header` */
export function parseIfMatch(value: string | undefined): Match | undefined {
  return parseMatch("If-Match", value, (tag) => !tag.weak);
}

/** @throws {DepositoError} `invalid-header` */
export function parseIfNoneMatch(value: string | undefined): Match | undefined {
  return parseMatch("If-None-Match", value, () => true);
}

/** Whether a tag that exists is named by `match`. */
export function matchesTag(match: Match, quoted: string): boolean {
  return match.type === "any" || match.tags.includes(quoted);
}

function parseMatch(field: string, value: string | undefined, counts: (tag: EntityTag) => boolean): Match | undefined {
  if (value === undefined) return undefined;
  if (value.trim() === "*") return { type: "any" };
  const tags = parseEntityTags(value);
  if (tags === undefined || tags.length === 0) {
    throw new DepositoError("invalid-header", `${field} must be * or a list of quoted entity tags`);
  }
  return { type: "tags", tags: tags.filter(counts).map((tag) => tag.quoted) };
}

/** The tags of a list, empty members skipped (RFC 9110 §5.6.1); undefined when it is not one. */
function parseEntityTags(value: string): readonly EntityTag[] | undefined {
  const tags: EntityTag[] = [];
  listItem.lastIndex = 0;
  while (listItem.lastIndex < value.length) {
    const item = listItem.exec(value);
    if (item === null) return undefined;
    if (item[2] !== undefined) tags.push({ weak: item[1] !== undefined, quoted: item[2] });
  }
  return tags;
}
