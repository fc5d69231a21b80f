import { randomBytes } from "node:crypto";
import { v4 } from "@lukeed/uuid/secure";
import type { Random } from "./clock.ts";

/** Chance, as a seam: production code never draws lots by itself. */
export interface Chance {
  /** Uniform in [0, 1), for delays and the like: nothing secret. */
  readonly random: Random;
  /** A UUID v4 that was never drawn before, anywhere. */
  uuid(): string;
  /** Bytes that nobody can guess. */
  secret(sizeBytes: number): Buffer;
}

export const systemChance: Chance = {
  random: Math.random,
  uuid: v4,
  secret: (sizeBytes) => randomBytes(sizeBytes),
};
