import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseRange } from "../../node/api/headers/byte-range.ts";
import { parsePreconditions } from "../../node/api/headers/entity-tags.ts";
import { formatReprDigest, parseReprDigest } from "../../node/api/headers/repr-digest.ts";
import { percentDecode } from "../../node/api/target.ts";
import { parseSha256 } from "../../node/base/ids.ts";

describe("entity tags", () => {
  test("If-Match keeps strong tags with their quotes; If-None-Match takes weak ones for strong (RFC 9110 §13.1)", () => {
    const value = ' "a" ,, W/"b" ,"c,d",';
    const { ifMatch, ifNoneMatch } = parsePreconditions({ "if-match": value, "if-none-match": value });
    assert.deepEqual(ifMatch, { type: "tags", tags: ['"a"', '"c,d"'] });
    assert.deepEqual(ifNoneMatch, { type: "tags", tags: ['"a"', '"b"', '"c,d"'] });
  });

  test("* is any, and nothing given is no precondition", () => {
    assert.deepEqual(parsePreconditions({ "if-match": " * " }), { ifMatch: { type: "any" }, ifNoneMatch: undefined });
  });

  test("whatever is sent is parsed or refused in linear time", () => {
    for (const value of [
      '"'.repeat(16_000),
      "W/".repeat(8000),
      " ".repeat(16_000),
      `"a"${" ".repeat(16_000)}x`,
      ",".repeat(16_000),
    ]) {
      const began = performance.now();
      assert.throws(() => parsePreconditions({ "if-match": value }), { code: "invalid-header" });
      assert.ok(performance.now() - began < 1000);
    }
  });
});

describe("ranges", () => {
  test("a part that is answered lies in the file and is never empty, whatever is asked", () => {
    const position = fc.oneof(fc.nat(30), fc.constant(""), fc.nat());
    fc.assert(
      fc.property(position, position, fc.nat(20), (first, last, size) => {
        const range = parseRange(`bytes=${first}-${last}`, size);
        if (range.type === "part") assert.ok(0 <= range.start && range.start < range.end && range.end <= size);
        if (range.type === "unsatisfiable") assert.ok(first === "" ? last === 0 || size === 0 : Number(first) >= size);
      }),
    );
  });
});

describe("Repr-Digest", () => {
  test("what is formatted is parsed back", () => {
    const digest = parseSha256("ab".repeat(32));
    assert.ok(digest !== undefined);
    assert.equal(parseReprDigest(formatReprDigest(digest)), digest);
  });
});

describe("percent-decoding", () => {
  test("whatever encodeURIComponent makes of a text is read back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        assert.equal(percentDecode(encodeURIComponent(text), "invalid-name"), text);
      }),
    );
  });

  test("any ASCII is decoded or refused with the code given, never anything else", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme-ascii" }), (text) => {
        try {
          assert.ok(percentDecode(text, "invalid-query").isWellFormed());
        } catch (error) {
          assert.equal(Reflect.get(error as object, "code"), "invalid-query");
        }
      }),
    );
  });
});
