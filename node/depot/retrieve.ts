import { DepositoError, hasCode } from "../base/errors.ts";
import type { BlobId, ClientId, NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { FileName } from "../catalog/names.ts";
import { readFile } from "../catalog/tables.ts";
import type { FileRecord } from "../catalog/types.ts";
import type { DepotOptions } from "./options.ts";
import { readRecord } from "./record.ts";
import { sourcesOf } from "./sources.ts";
import type { LostReplica, Retrieval } from "./types.ts";

/** Bytes `[start, end)` of a file. */
type ByteRange = { readonly start: number; readonly end: number };

/**
 * The record of a file and a way to its bytes:
 *
 *   own disk ──► first peer ──► next peer ──► …
 *            ✗ at byte k     ✗ at byte m
 *   [start, k)    [k, m)        [m, end)      the reader gets one unbroken range
 *
 * @throws {DepositoError} `file-not-found`
 */
export function retrieve(
  options: DepotOptions,
  reportLost: (lost: LostReplica) => void,
  clientId: ClientId,
  name: FileName,
): Retrieval {
  const record = readRecord(options.replication.catalog, clientId, name);
  return { record, read: (range, signal) => readReplicas(options, reportLost, record, range, signal) };
}

async function* readReplicas(
  options: DepotOptions,
  reportLost: (lost: LostReplica) => void,
  record: FileRecord,
  { start, end }: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  invariant(0 <= start && start <= end && end <= record.blob.sizeBytes, () => `[${start}, ${end}) of ${record.name}`);
  const failures: { readonly node: NodeId; readonly error: DepositoError }[] = [];
  let at = start;
  for (const node of sourcesOf(options, record)) {
    if (at === end) return;
    try {
      for await (const chunk of await open(options, node, record, { start: at, end }, signal)) {
        at += chunk.length;
        invariant(at <= end, () => `${node} sent ${at - end} bytes beyond [${start}, ${end}) of ${record.name}`);
        yield chunk;
      }
      if (at < end) throw new DepositoError("peer-unreachable", `${node} ended ${end - at} bytes early`);
    } catch (error) {
      if (signal.aborted || !(error instanceof DepositoError)) throw error;
      failures.push({ node, error });
      options.logger.warn({ holder: node, blob: record.blob.blobId, at, err: error }, "a replica could not be read on");
      if (node === options.self) reportOwn(reportLost, record.blob.blobId, error);
    }
  }
  if (at < end) throw await nobodyHasIt(options, record, failures);
}

function open(options: DepotOptions, node: NodeId, record: FileRecord, range: ByteRange, signal: AbortSignal) {
  signal.throwIfAborted();
  const { blobId } = record.blob;
  return node === options.self
    ? options.holder.read(blobId, range)
    : options.peers.readBlob(node, blobId, range, signal);
}

function reportOwn(reportLost: (lost: LostReplica) => void, blobId: BlobId, error: DepositoError): void {
  if (hasCode(error, "blob-damaged")) reportLost({ blobId, how: "damaged" });
  if (hasCode(error, "blob-not-found")) reportLost({ blobId, how: "gone" });
}

/** The error for a reader who cannot be served now: the record may have been replaced and swept under his eyes. */
async function nobodyHasIt(
  { replication }: DepotOptions,
  record: FileRecord,
  failures: readonly { readonly node: NodeId; readonly error: DepositoError }[],
): Promise<DepositoError> {
  await replication.barrier();
  const now = readFile(replication.catalog, record.clientId, record.name);
  const cause = failures[0]?.error;
  if (now?.blob.blobId !== record.blob.blobId) {
    return new DepositoError("not-enough-nodes", "the file was replaced or removed meanwhile: ask again", { cause });
  }
  const reasons = failures.map(({ node, error }) => `${node}: ${error.code}`).join(", ");
  return new DepositoError(
    "not-enough-nodes",
    `no node that holds the file can be read now (${reasons === "" ? "no replica is present" : reasons})`,
    { cause },
  );
}
