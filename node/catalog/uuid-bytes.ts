import { invariant } from "../base/invariant.ts";

/** A UUID as it stands in keys and values: its 16 bytes. */
export const uuidSizeBytes = 16;

/** Where each byte's two digits stand in the text, between the hyphens. */
const digitsAt = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;

/** Writes the 16 bytes of `uuid`, which a parser of `base/ids.ts` has accepted, into `target` from `offset` on. */
export function writeUuid(target: Buffer, offset: number, uuid: string): void {
  invariant(uuid.length === 36, () => `not a UUID: ${uuid}`);
  let next = offset;
  for (const at of digitsAt) target[next++] = (digitAt(uuid, at) << 4) | digitAt(uuid, at + 1);
}

export function uuidToBytes(uuid: string): Buffer {
  const bytes = Buffer.allocUnsafe(uuidSizeBytes);
  writeUuid(bytes, 0, uuid);
  return bytes;
}

/** The text of the 16 bytes from `offset` on, in lower case. */
export function uuidText(bytes: Buffer, offset = 0): string {
  const hex = bytes.toString("hex", offset, offset + uuidSizeBytes);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** `a` to `f` lie at 97 to 102, `0` to `9` at 48 to 57. */
function digitAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 97 ? code - 87 : code - 48;
}
