import { parseDictionary } from "structured-headers";
import { DepositoError } from "../../base/errors.ts";
import { parseSha256, type Sha256 } from "../../base/ids.ts";

const field = "Repr-Digest";
const member = /(?:^|,)[ \t]*sha-256[ \t]*=[ \t]*:([^:]*):/g;

/**
 * The sha-256 of a `Repr-Digest` field (RFC 9530); undefined when the field is missing or has other algorithms only.
 * @throws {DepositoError} `invalid-header`: not a dictionary, not 32 bytes, or two different digests.
 */
export function parseReprDigest(value: string | undefined): Sha256 | undefined {
  if (value === undefined) return undefined;
  const [digest] = dictionary(value).get("sha-256") ?? [];
  if (digest === undefined) return undefined;
  // A structured dictionary lets the last of equal keys win; here that would hide a contradiction.
  const stated = new Set(Array.from(value.matchAll(member), (match) => match[1]));
  if (stated.size > 1) throw new DepositoError("invalid-header", `${field} states two different sha-256 digests`);
  const sha256 = digest instanceof ArrayBuffer ? parseSha256(Buffer.from(digest).toString("hex")) : undefined;
  if (sha256 === undefined) {
    throw new DepositoError("invalid-header", `${field} must state sha-256 as 32 bytes: sha-256=:<base64>:`);
  }
  return sha256;
}

/** The field for bytes with this digest. */
export function formatReprDigest(sha256: Sha256): string {
  return `sha-256=:${Buffer.from(sha256, "hex").toString("base64")}:`;
}

function dictionary(value: string): ReturnType<typeof parseDictionary> {
  try {
    return parseDictionary(value);
  } catch (cause) {
    throw new DepositoError("invalid-header", `${field} is not a dictionary of structured fields (RFC 9651)`, {
      cause,
    });
  }
}
