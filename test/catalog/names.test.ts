import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hasCode } from "../../node/base/errors.ts";
import { encodeFileName, maxNameBytes, parseFileName } from "../../node/catalog/names.ts";

const good = [
  "a",
  "photos/cat.jpg",
  "Ordner mit Leerzeichen/Übersicht (1).pdf",
  "ação/日本語/😀.txt",
  "...",
  "a/.hidden",
  "..a/b..",
  " leading and trailing space ",
  "%2e%2e%2f",
  "back\\slash",
  "\u00a0",
  "x".repeat(1024),
  "é".repeat(512),
];

test("Names: what the contract allows is taken as it is", () => {
  for (const text of good) assert.equal(parseFileName(text), text);
});

const bad: readonly (readonly [what: string, text: string, detail: RegExp])[] = [
  ["an empty name", "", /empty: give one of 1 to 1024 bytes/],
  ["1,025 bytes of ASCII", "x".repeat(1025), /1025 bytes.*at most 1024/],
  ["1,026 bytes in 513 characters", "é".repeat(513), /1026 bytes/],
  ["a leading slash", "/a", /begins with "\/"/],
  ["a trailing slash", "a/", /ends with "\/"/],
  ["a slash alone", "/", /begins with "\/"/],
  ["an empty segment", "a//b", /empty segment/],
  ["a . segment", "a/./b", /segment "\."/],
  ["a name that is .", ".", /segment "\."/],
  ["a .. segment", "a/../b", /segment "\.\."/],
  ["a name that is ..", "..", /segment "\.\."/],
  ["a trailing .. segment", "a/..", /segment "\.\."/],
  ["NUL", "a\0b", /control character U\+0000/],
  ["a C0 control", "a\nb", /control character U\+000A/],
  ["DEL", "a\u007f", /control character U\+007F/],
  ["a C1 control", "\u0085", /control character U\+0085/],
  ["an unpaired high surrogate", "a\ud83d", /unpaired surrogate/],
  ["an unpaired low surrogate", "\ude00b", /unpaired surrogate/],
];
for (const [what, text, detail] of bad) {
  test(`Names: ${what} is refused, and the detail says why`, () => {
    assert.throws(
      () => parseFileName(text),
      (error: unknown) => hasCode(error, "invalid-name") && detail.test(error.message),
    );
  });
}

test("Names: whatever is taken keeps every rule, and its bytes are its text", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[a./\u{1F600}\u0000]{0,12}$/u));
  fc.assert(
    fc.property(text, (candidate) => {
      const allowed =
        candidate.isWellFormed() &&
        Buffer.byteLength(candidate) <= maxNameBytes &&
        candidate.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..") &&
        !/\p{Cc}/u.test(candidate);
      if (!allowed) {
        assert.throws(() => parseFileName(candidate));
        return;
      }
      const bytes = encodeFileName(parseFileName(candidate));
      assert.equal(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), candidate);
    }),
    { numRuns: 2000 },
  );
});
