/** What a `Range` field asks of a file of known size. */
export type RangeAnswer =
  | { readonly type: "whole" }
  | { readonly type: "part"; readonly start: number; readonly end: number }
  | { readonly type: "unsatisfiable" };

// `range-parser` answers 416 to a suffix longer than the file, and tells 5-2 and beyond-the-end alike.
const oneRange = /^bytes[ \t]*=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/i;

/**
 * Reads a `Range` field (RFC 9110 §14.2) for a file of `sizeBytes`; `end` is exclusive. One range is served. Several,
 * other units and malformed ones, `5-2` too, are ignored as the RFC allows: the whole file is the answer.
 */
export function parseRange(value: string | undefined, sizeBytes: number): RangeAnswer {
  const [, first, last, suffix] = oneRange.exec(value ?? "") ?? [];
  if (suffix !== undefined) {
    const start = Math.max(0, sizeBytes - Number(suffix));
    return start < sizeBytes ? { type: "part", start, end: sizeBytes } : { type: "unsatisfiable" };
  }
  if (first === undefined) return { type: "whole" };
  const start = Number(first);
  const end = last === undefined || last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (last !== "" && Number(last) < start) return { type: "whole" };
  return start < sizeBytes ? { type: "part", start, end } : { type: "unsatisfiable" };
}
