import type { Brand } from "../base/brand.ts";
import { DepositoError } from "../base/errors.ts";

/** A file's name: 1 to 1024 bytes of UTF-8, `/` allowed inside; see `parseFileName`. */
export type FileName = Brand<string, "FileName">;

/** The longest name, in bytes of UTF-8. */
export const maxNameBytes = 1024;

const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * The name as a client gave it, after percent-decoding. A leading or trailing `/`, an empty, `.` or `..` segment, control
 * characters (C0, DEL, C1) and unpaired surrogates are refused, so that a name is also a path that stays where it is.
 * @throws {DepositoError} `invalid-name`; the message says what is wrong and what to do.
 */
export function parseFileName(text: string): FileName {
  const problem = problemOf(text);
  if (problem !== undefined) throw new DepositoError("invalid-name", problem);
  return text as FileName;
}

/** The name as UTF-8, the form it is ordered by. */
export function encodeFileName(name: FileName): Uint8Array {
  return Buffer.from(name, "utf8");
}

function problemOf(text: string): string | undefined {
  if (text === "") return `the name is empty: give one of 1 to ${maxNameBytes} bytes of UTF-8`;
  if (!text.isWellFormed()) return "the name has an unpaired surrogate: send it as valid UTF-8";
  const sizeBytes = Buffer.byteLength(text, "utf8");
  if (sizeBytes > maxNameBytes)
    return `the name has ${sizeBytes} bytes of UTF-8: shorten it to at most ${maxNameBytes}`;
  const control = controlCharacter.exec(text);
  if (control !== null) return `the name has the control character ${codePointOf(control[0])}: leave it out`;
  if (text.startsWith("/")) return 'the name begins with "/": leave it out';
  if (text.endsWith("/")) return 'the name ends with "/": leave it out';
  return problemOfSegments(text);
}

function problemOfSegments(text: string): string | undefined {
  for (const segment of text.split("/")) {
    if (segment === "") return 'the name has an empty segment: write one "/" where it has "//"';
    if (segment === "." || segment === "..") return `the name has the segment "${segment}": leave it out or rename it`;
  }
  return undefined;
}

function codePointOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
