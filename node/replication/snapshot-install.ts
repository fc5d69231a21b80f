import { pause, unlessAborted } from "../base/aborting.ts";
import type { Clock } from "../base/clock.ts";
import { DepositoError, hasCode } from "../base/errors.ts";
import type { LogIndex, NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { type CatalogMeta, readMeta } from "../catalog/apply.ts";
import { DigestAccumulator, digestHex } from "../catalog/digest.ts";
import type { Write } from "../catalog/types.ts";
import type { CatalogInstaller, CatalogStore } from "../storage/types.ts";
import type { PeerClient, SnapshotChunk, SnapshotCursor } from "../transport/types.ts";

export interface SnapshotPull {
  readonly peers: Pick<PeerClient, "snapshotChunk">;
  /** Whom to ask, best first; asked anew after each failure. */
  readonly sources: () => readonly NodeId[];
  readonly begin: () => Promise<CatalogInstaller>;
  /** An older snapshot than this is of no use. */
  readonly atLeast: LogIndex;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** A complete, verified catalog on disk, not switched to yet. */
export interface PulledSnapshot {
  readonly meta: CatalogMeta;
  /** Makes it this node's catalog, atomically. */
  complete(): Promise<CatalogStore>;
  /** Removes it. */
  cancel(): Promise<void>;
}

const retryMs = 200;
const maxRetryMs = 5000;
/** After so many broken connections in a row, another source is tried, from the start. */
const maxBreaks = 5;

/**
 * Pulls a catalog from the peers until one whole, new enough and with the right digest is on disk.
 * Rejects with the signal's reason when it aborts; then nothing stays on disk.
 */
export async function pullSnapshot(pull: SnapshotPull): Promise<PulledSnapshot> {
  for (let attempt = 0; ; attempt++) {
    const sources = pull.sources();
    const source = sources[attempt % Math.max(1, sources.length)];
    if (source !== undefined) {
      const pulled = await tryPull(pull, source);
      if (pulled !== undefined) return pulled;
    }
    const rounds = Math.floor(attempt / Math.max(1, sources.length));
    await pause(pull.clock, Math.min(retryMs * 2 ** rounds, maxRetryMs), pull.signal);
    pull.signal.throwIfAborted();
  }
}

async function tryPull(pull: SnapshotPull, source: NodeId): Promise<PulledSnapshot | undefined> {
  let installer: CatalogInstaller | undefined;
  try {
    // Asked before anything is made on disk: often there is nobody yet.
    const first = await nextChunk(pull, source, undefined);
    const begun = await pull.begin();
    installer = begun;
    const meta = await pullFrom(pull, source, first, begun);
    pull.logger.info({ source, index: meta.applied.index }, "snapshot received");
    return { meta, complete: () => begun.complete(), cancel: () => begun.cancel() };
  } catch (error) {
    await installer?.cancel();
    const expected = ["peer-unreachable", "peer-refused", "catalog-damaged", "not-a-member"] as const;
    if (!expected.some((code) => hasCode(error, code))) throw error;
    pull.logger.warn({ source, error: (error as Error).message }, "snapshot transfer failed, trying again");
    return undefined;
  }
}

/** Rows lie in key order, so the transfer goes on after the last key when a connection breaks in between. */
async function pullFrom(
  pull: SnapshotPull,
  source: NodeId,
  first: SnapshotChunk,
  installer: CatalogInstaller,
): Promise<CatalogMeta> {
  const digest = new DigestAccumulator();
  const points = new Map<string, Uint8Array>();
  for (let chunk = first; ; ) {
    const writes: Write[] = chunk.rows.map(({ key, value }) => ({ key, value }));
    for (const { key, value } of chunk.rows) if (!digest.add(key, value)) points.set(keyText(key), value);
    await installer.write(writes);
    if (chunk.last) break;
    const last = chunk.rows.at(-1);
    if (last === undefined) throw new DepositoError("peer-refused", `${source} sent an empty chunk`);
    chunk = await nextChunk(pull, source, { session: chunk.session, after: last.key });
  }
  const meta = readMeta({ get: (key) => points.get(keyText(key)) });
  if (digestHex(digest.value) !== digestHex(meta.digest))
    throw new DepositoError("catalog-damaged", `the snapshot of ${source} does not have the digest it claims`);
  if (meta.applied.index < pull.atLeast)
    throw new DepositoError("peer-refused", `${source} has applied ${meta.applied.index}, ${pull.atLeast} is needed`);
  return meta;
}

async function nextChunk(
  { peers, clock, signal }: SnapshotPull,
  source: NodeId,
  cursor: SnapshotCursor | undefined,
): Promise<SnapshotChunk> {
  for (let breaks = 0; ; breaks++) {
    try {
      const chunk = await unlessAborted(signal, peers.snapshotChunk(source, cursor));
      if (cursor === undefined || chunk.session === cursor.session) return chunk;
      throw new DepositoError("peer-refused", `${source} has started another snapshot meanwhile`);
    } catch (error) {
      if (cursor === undefined || !hasCode(error, "peer-unreachable") || breaks === maxBreaks) throw error;
    }
    await pause(clock, retryMs, signal);
  }
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key).toString("latin1");
}
