import { createHash } from "node:crypto";

/** In hex, as records name it. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
