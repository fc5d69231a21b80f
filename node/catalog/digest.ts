import { hash } from "node:crypto";
import { keyText, metaKey } from "./keys.ts";

/**
 * The digest of a set of rows: the sum of their hashes, lane by lane. It does not depend on the order in which rows were
 * written, so nodes with the same rows have the same digest, and one row's change costs two hashes.
 */
export type Digest = readonly [number, number, number, number];

/** The digest of no rows. */
export const emptyDigest: Digest = [0, 0, 0, 0];

const metaKeyText = keyText(metaKey);

/** 32 hexadecimal digits. */
export function digestHex(digest: Digest): string {
  return digest.map((lane) => lane.toString(16).padStart(8, "0")).join("");
}

/** Adds up the digest of rows, from nothing or from where an earlier one stood. */
export class DigestAccumulator {
  readonly #lanes: Uint32Array;
  #scratch: Buffer = Buffer.allocUnsafe(2048);

  constructor(start: Digest = emptyDigest) {
    this.#lanes = Uint32Array.from(start);
  }

  get value(): Digest {
    const [a = 0, b = 0, c = 0, d = 0] = this.#lanes;
    return [a, b, c, d];
  }

  /** Takes a row in; false for the meta row, which holds the digest itself and is left out. */
  add(key: Uint8Array, value: Uint8Array): boolean {
    return this.#count(key, value, 1);
  }

  /** Takes a row out that was in; false for the meta row. */
  remove(key: Uint8Array, value: Uint8Array): boolean {
    return this.#count(key, value, -1);
  }

  #count(key: Uint8Array, value: Uint8Array, sign: 1 | -1): boolean {
    if (key.length === metaKeyText.length && keyText(key) === metaKeyText) return false;
    const hashed = this.#rowHash(key, value);
    // Each lane is a sum modulo 2^32: that is how a Uint32Array stores it.
    for (let lane = 0; lane < 4; lane++) this.#lanes[lane] = (this.#lanes[lane] ?? 0) + sign * laneOf(hashed, lane);
    return true;
  }

  /** The sha256 of key length, key and value, one character per byte. The length keeps (ab, c) and (a, bc) apart. */
  #rowHash(key: Uint8Array, value: Uint8Array): string {
    const sizeBytes = 4 + key.length + value.length;
    if (this.#scratch.length < sizeBytes) this.#scratch = Buffer.allocUnsafe(sizeBytes * 2);
    this.#scratch.writeUInt32BE(key.length, 0);
    this.#scratch.set(key, 4);
    this.#scratch.set(value, 4 + key.length);
    return hash("sha256", this.#scratch.subarray(0, sizeBytes), "latin1");
  }
}

function laneOf(hashed: string, lane: number): number {
  const at = lane * 4;
  return (
    hashed.charCodeAt(at) * 2 ** 24 +
    ((hashed.charCodeAt(at + 1) << 16) | (hashed.charCodeAt(at + 2) << 8) | hashed.charCodeAt(at + 3))
  );
}
