import { pause, unlessAborted } from "../base/aborting.ts";
import type { Clock } from "../base/clock.ts";
import { DepositoError, hasCode } from "../base/errors.ts";
import type { LogIndex, NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { type CatalogMeta, readMeta } from "../catalog/apply.ts";
import { DigestAccumulator, digestHex } from "../catalog/digest.ts";
import { keyText, membersKey } from "../catalog/keys.ts";
import { decodeMembers } from "../catalog/member-codec.ts";
import type { MemberFacts, Write } from "../catalog/types.ts";
import type { CatalogInstaller, CatalogStore } from "../storage/types.ts";
import type { PeerClient, SnapshotChunk, SnapshotCursor } from "../transport/types.ts";

export interface SnapshotPull {
  readonly peers: Pick<PeerClient, "snapshotChunk">;
  /** Whom to ask, best first; asked anew after each failure. */
  readonly sources: () => readonly NodeId[];
  readonly begin: () => Promise<CatalogInstaller>;
  /** An older snapshot than this is of no use. May grow: what was begun too early is then begun anew. */
  readonly atLeast: () => LogIndex;
  /** The life that a snapshot must list; a source that lags behind may not have it yet. */
  readonly self: Pick<MemberFacts, "id" | "incarnation">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Told of each transfer that was begun, how it ended. */
  readonly onTransfer?: ((transfer: SnapshotTransfer) => void) | undefined;
  /** Told why an attempt came to nothing. */
  readonly onRefusal?: ((source: NodeId, error: DepositoError) => void) | undefined;
}

export interface SnapshotTransfer {
  readonly result: "complete" | "failed";
  /** Keys and values that arrived. */
  readonly sizeBytes: number;
  readonly durationMs: number;
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
  const transfer = new Transfer(pull, source);
  try {
    return await transfer.run();
  } catch (error) {
    await transfer.cancel();
    if (!isExpected(error)) throw error;
    pull.onRefusal?.(source, error);
    pull.logger.warn({ source, error: error.message }, "snapshot transfer failed, trying again");
    return undefined;
  }
}

function isExpected(error: unknown): error is DepositoError {
  const codes = ["peer-unreachable", "peer-refused", "no-catalog", "catalog-damaged", "not-a-member"] as const;
  return codes.some((code) => hasCode(error, code));
}

/** One attempt with one source. */
class Transfer {
  readonly #pull: SnapshotPull;
  readonly #source: NodeId;
  readonly #digest = new DigestAccumulator();
  /** Rows outside the digest: the meta row. */
  readonly #points = new Map<string, Uint8Array>();
  #installer: CatalogInstaller | undefined;
  #sizeBytes = 0;
  #beganMs = 0;

  constructor(pull: SnapshotPull, source: NodeId) {
    this.#pull = pull;
    this.#source = source;
  }

  async run(): Promise<PulledSnapshot> {
    const { begin, clock, logger } = this.#pull;
    // Asked before anything is made on disk: often there is nobody yet.
    const first = await this.#next(undefined);
    this.#checkLife(first);
    this.#beganMs = clock.monotonicMs();
    const installer = await begin();
    this.#installer = installer;
    await this.#writeAll(first, installer);
    const meta = this.#verified();
    logger.info({ source: this.#source, index: meta.applied.index, bytes: this.#sizeBytes }, "snapshot received");
    this.#tell("complete");
    return { meta, complete: () => installer.complete(), cancel: () => installer.cancel() };
  }

  /** Nothing of it stays on disk. */
  async cancel(): Promise<void> {
    if (this.#installer === undefined) return;
    this.#tell("failed");
    await this.#installer.cancel();
  }

  /** Rows lie in key order, so the transfer goes on after the last key when a connection breaks in between. */
  async #writeAll(first: SnapshotChunk, installer: CatalogInstaller): Promise<void> {
    for (let chunk = first; ; ) {
      const writes: Write[] = chunk.rows.map(({ key, value }) => ({ key, value }));
      for (const { key, value } of chunk.rows) {
        this.#sizeBytes += key.byteLength + value.byteLength;
        if (!this.#digest.add(key, value)) this.#points.set(keyText(key), value);
      }
      await installer.write(writes);
      if (chunk.last) return;
      const last = chunk.rows.at(-1);
      if (last === undefined) throw new DepositoError("peer-refused", `${this.#source} sent an empty chunk`);
      chunk = await this.#next({ session: chunk.session, after: last.key });
    }
  }

  #verified(): CatalogMeta {
    const meta = readMeta({ get: (key) => this.#points.get(keyText(key)) });
    if (digestHex(this.#digest.value) === digestHex(meta.digest)) return meta;
    throw new DepositoError("catalog-damaged", `the snapshot of ${this.#source} does not have the digest it claims`);
  }

  async #next(cursor: SnapshotCursor | undefined): Promise<SnapshotChunk> {
    const { peers, clock, signal } = this.#pull;
    for (let breaks = 0; ; breaks++) {
      try {
        const chunk = await unlessAborted(signal, peers.snapshotChunk(this.#source, cursor));
        this.#check(chunk, cursor);
        return chunk;
      } catch (error) {
        if (cursor === undefined || !hasCode(error, "peer-unreachable") || breaks === maxBreaks) throw error;
      }
      await pause(clock, retryMs, signal);
    }
  }

  #check({ session, applied }: SnapshotChunk, cursor: SnapshotCursor | undefined): void {
    const atLeast = this.#pull.atLeast();
    if (applied < atLeast)
      throw new DepositoError("no-catalog", `the catalog of ${this.#source} is at ${applied}, ${atLeast} is needed`);
    if (cursor !== undefined && session !== cursor.session)
      throw new DepositoError("peer-refused", `${this.#source} has started another snapshot meanwhile`);
  }

  /** The members stand in the first row of every catalog. */
  #checkLife({ rows }: SnapshotChunk): void {
    const row = rows.find(({ key }) => keyText(key) === keyText(membersKey));
    const { id, incarnation } = this.#pull.self;
    const members = row === undefined ? [] : decodeMembers(row.value);
    if (members.some((member) => member.id === id && member.incarnation === incarnation)) return;
    throw new DepositoError("peer-refused", `${this.#source} does not know that this node belongs to the group`);
  }

  #tell(result: SnapshotTransfer["result"]): void {
    const durationMs = this.#pull.clock.monotonicMs() - this.#beganMs;
    this.#pull.onTransfer?.({ result, sizeBytes: this.#sizeBytes, durationMs });
  }
}
