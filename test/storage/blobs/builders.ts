import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import { readdirSync, readlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ErrorCode, hasCode } from "../../../node/base/errors.ts";
import { newBlobId, type Sha256 } from "../../../node/base/ids.ts";
import type { BlobFacts } from "../../../node/catalog/types.ts";
import type { BlobStore } from "../../../node/storage/types.ts";

/** A blob before it is stored. */
export interface TestBlob {
  readonly facts: BlobFacts;
  readonly bytes: Buffer;
}

/** A fresh blob of these bytes, or of so many random ones. */
export function blobOf(content: Buffer | number): TestBlob {
  const bytes = typeof content === "number" ? randomBytes(content) : content;
  const sha256 = hash("sha256", bytes, "hex") as Sha256;
  return { facts: { blobId: newBlobId(), sizeBytes: bytes.length, sha256 }, bytes };
}

/** Streams a blob in, in chunks of `chunkBytes`. */
export async function stream(store: BlobStore, { facts, bytes }: TestBlob, chunkBytes = 100_000) {
  const writer = await store.stage(facts.blobId, facts.sizeBytes);
  for (let at = 0; at < bytes.length; at += chunkBytes) await writer.write(bytes.subarray(at, at + chunkBytes));
  return await writer.commit(facts);
}

/** The bytes of a range, or of the whole blob. */
export async function readBack(store: BlobStore, blobId: BlobFacts["blobId"], range?: { start: number; end: number }) {
  const reader = await store.open(blobId);
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.read(range ?? { start: 0, end: reader.blob.sizeBytes })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A new folder and what removes it. */
export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "deposito-blobs-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** How many files below `folder` this process has open; undefined where the system cannot say. */
export function openFilesBelow(folder: string): number | undefined {
  if (process.platform !== "linux") return undefined;
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false; // the descriptor that lists this very directory
    }
  }).length;
}

/** Awaits the failure `code`. */
export async function rejectsWith(code: ErrorCode, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error: unknown) => {
    if (!hasCode(error, code)) throw error;
    return true;
  });
}
