import type { Chance } from "../base/chance.ts";
import type { Clock } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import { everyRow } from "../catalog/keys.ts";
import { readMeta } from "../catalog/meta.ts";
import type { CatalogSnapshot, CatalogStore } from "../storage/types.ts";
import type { SnapshotChunk, SnapshotCursor, SnapshotSource } from "../transport/types.ts";
import type { LogHolder } from "./log-retention.ts";

export interface SnapshotServerOptions {
  /** Asked for each new session: the catalog may have been installed anew. */
  readonly store: () => CatalogStore;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Told of each chunk that is handed out. */
  readonly onChunk: (chunk: SnapshotChunk) => void;
}

/** One transfer: a frozen view, and who still needs it. */
interface Session {
  readonly id: string;
  readonly peer: NodeId;
  readonly view: CatalogSnapshot;
  /** What the view shows; undefined until it was looked at. */
  applied: LogIndex | undefined;
  busy: boolean;
  usedMs: number;
  cancelIdle: () => void;
}

/**
 * Serves snapshots of this node's catalog in key order, in chunks of about 1 MiB. A frozen view keeps old LevelDB tables
 * on disk, so there are at most two, and one that nobody asks for is closed.
 */
export class SnapshotServer implements SnapshotSource {
  readonly #options: SnapshotServerOptions;
  readonly #sessions = new Map<string, Session>();

  constructor(options: SnapshotServerOptions) {
    this.#options = options;
  }

  /** Those who are pulling a snapshot here, or did so a moment ago: they will need the log after it. */
  get holders(): readonly LogHolder[] {
    return [...this.#sessions.values()].map(({ id, applied }) => ({ attempt: id, after: applied ?? logIndex(0) }));
  }

  async chunk(peer: NodeId, at: SnapshotCursor | undefined): Promise<SnapshotChunk> {
    const { clock, onChunk } = this.#options;
    const known = at === undefined ? undefined : this.#sessions.get(at.session);
    if (known?.busy === true) throw new DepositoError("node-busy", "a chunk of this session is being read already");
    const session = known ?? this.#begin(peer);
    session.cancelIdle();
    session.busy = true;
    try {
      const from = known === undefined || at === undefined ? everyRow.from : after(at.after);
      const chunk = await readChunk(session, from);
      onChunk(chunk);
      return chunk;
    } catch (error) {
      await this.#end(session);
      throw error;
    } finally {
      session.busy = false;
      session.usedMs = clock.monotonicMs();
      if (this.#sessions.get(session.id) === session) this.#endWhenIdle(session);
    }
  }

  /** Closes every view; transfers under way fail. */
  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => this.#end(session)));
  }

  #begin(peer: NodeId): Session {
    const former = [...this.#sessions.values()].find((session) => session.peer === peer);
    if (former !== undefined) this.#endUnwatched(former);
    if (this.#sessions.size >= maxSessions) this.#endUnwatched(this.#leastUseful());
    const id = this.#options.chance.secret(16).toString("hex");
    const usedMs = this.#options.clock.monotonicMs();
    const view = this.#options.store().snapshot();
    const session: Session = { id, peer, view, applied: undefined, busy: false, usedMs, cancelIdle: () => {} };
    this.#sessions.set(id, session);
    return session;
  }

  /** The session to give up for a new one. @throws {DepositoError} `node-busy` while both are in use. */
  #leastUseful(): Session {
    const nowMs = this.#options.clock.monotonicMs();
    const quiet = [...this.#sessions.values()]
      .filter((session) => !session.busy && nowMs - session.usedMs >= quietMs)
      .sort((one, other) => one.usedMs - other.usedMs)[0];
    if (quiet === undefined) throw new DepositoError("node-busy", `${maxSessions} snapshots are being served already`);
    return quiet;
  }

  #endWhenIdle(session: Session): void {
    session.cancelIdle = this.#options.clock.after(idleMs, () => this.#endUnwatched(session));
  }

  /** A view that does not close is left to the store's own close. */
  #endUnwatched(session: Session): void {
    this.#end(session).catch(() => undefined);
  }

  async #end(session: Session): Promise<void> {
    session.cancelIdle();
    if (!this.#sessions.delete(session.id)) return;
    await session.view.close();
  }
}

async function readChunk(session: Session, start: Uint8Array): Promise<SnapshotChunk> {
  const { id, view } = session;
  const applied = (session.applied ??= readMeta(view).applied.index);
  const rows: { readonly key: Uint8Array; readonly value: Uint8Array }[] = [];
  let sizeBytes = 0;
  let from = start;
  while (sizeBytes < chunkBytes) {
    const page = await view.range({ from, before: everyRow.before, limit: pageRows });
    for (const row of page) {
      rows.push(row);
      sizeBytes += row.key.length + row.value.length;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageRows) return { session: id, applied, rows, last: true };
    from = after(last.key);
  }
  return { session: id, applied, rows, last: false };
}

/** The first key that comes after `key`. */
function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

const maxSessions = 2;
const idleMs = 60_000;
/** A session unused for this long may be given up for another one. */
const quietMs = 5_000;
const chunkBytes = 1024 * 1024;
const pageRows = 256;
