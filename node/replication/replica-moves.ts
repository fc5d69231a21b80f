/**
 * What the leader proposes when a node leaves, or there are more nodes than before: other holders for files.
 *
 *   rows of a leaving node ──► reassign-replicas ──► others pull, report "made" ──► its row is doomed
 *                          └─► forget-replicas: doomed rows                    ──► no row left: it can be forgotten
 *   files with too few holders ──► reassign-replicas
 *
 * Pages are read while the catalog goes on; a file that changed meanwhile is left alone by `decide`.
 */
import type { NodeId } from "../base/ids.ts";
import { settleHolders } from "../catalog/holders.ts";
import { everyFile, holderRange } from "../catalog/keys.ts";
import { storingMembers } from "../catalog/members.ts";
import { rankNodes } from "../catalog/placement.ts";
import { fileOfRow, holderOfRow, readFile } from "../catalog/tables.ts";
import type { Command, FileRecord, HolderRow, MemberRecord, Reassignment } from "../catalog/types.ts";
import type { Gossip, Replication } from "./types.ts";

export interface ReplicaMovesOptions {
  readonly group: Pick<Replication, "catalog" | "members" | "propose">;
  readonly heard: Gossip["of"];
}

/** Files in one command: their names alone may have 256 KiB together. */
const filesAtOnce = 256;

/** Goes over files, one page after another, and proposes better holders where there are any. */
export class ReplicaMoves {
  readonly #options: ReplicaMovesOptions;

  constructor(options: ReplicaMovesOptions) {
    this.#options = options;
  }

  /** Has others take what a leaving node has; how many rows it still had when they were read. */
  async drain(leaving: MemberRecord): Promise<number> {
    const { catalog } = this.#options.group;
    let range = holderRange(leaving.id, undefined);
    let count = 0;
    for (;;) {
      const rows = (await catalog.range({ ...range, limit: filesAtOnce })).map(holderOfRow);
      count += rows.length;
      await this.#reassign(rows.flatMap((row) => this.#fileOf(row) ?? []));
      await this.#forgetDoomed(leaving, rows);
      const last = rows.at(-1);
      if (last === undefined || rows.length < filesAtOnce) return count;
      range = holderRange(leaving.id, last.blob.blobId);
    }
  }

  /** Gives every file as many holders as it wants, or as there are nodes. */
  async topUp(): Promise<void> {
    const { catalog } = this.#options.group;
    let range = everyFile(undefined);
    for (;;) {
      const rows = await catalog.range({ ...range, limit: filesAtOnce });
      await this.#reassign(rows.map(fileOfRow).filter(({ holders, replicas }) => holders.length < replicas));
      const last = rows.at(-1);
      if (last === undefined || rows.length < filesAtOnce) return;
      range = everyFile(last.key);
    }
  }

  #fileOf({ clientId, name, blob, state }: HolderRow): FileRecord | undefined {
    if (state === "doomed") return undefined;
    const record = readFile(this.#options.group.catalog, clientId, name);
    return record?.blob.blobId === blob.blobId ? record : undefined;
  }

  async #reassign(records: readonly FileRecord[]): Promise<void> {
    const files = records.flatMap((record) => this.#reassignment(record) ?? []);
    if (files.length > 0) await this.#propose({ type: "reassign-replicas", files });
  }

  async #forgetDoomed({ id: node, life }: MemberRecord, rows: readonly HolderRow[]): Promise<void> {
    const blobIds = rows.filter(({ state }) => state === "doomed").map(({ blob }) => blob.blobId);
    if (blobIds.length > 0) await this.#propose({ type: "forget-replicas", node, life, blobIds });
  }

  /** Undefined where nothing would change: others are at it already. */
  #reassignment(record: FileRecord): Reassignment | undefined {
    const members = this.#options.group.members();
    const { clientId, name, blob, holders, replicas } = record;
    const ranking = this.#ranking(record, storingMembers(members)).slice(0, replicas);
    const settled = settleHolders(record, ranking, members);
    const isHolder = (node: NodeId) => holders.some((holder) => holder.node === node);
    const isSame = settled.length === holders.length && settled.every(({ node }) => isHolder(node));
    return isSame ? undefined : { clientId, name, blobId: blob.blobId, ranking };
  }

  /** Nodes that have no replica yet: those that live and have room first, and among equals those that were asked before. */
  #ranking({ blob, holders }: FileRecord, storing: readonly MemberRecord[]): readonly NodeId[] {
    const standing = (node: NodeId) => holders.find((holder) => holder.node === node)?.state;
    const candidates = storing
      .filter(({ id }) => standing(id) !== "present")
      .map(({ id, zone }) => {
        const known = this.#options.heard(id);
        const freeBytes = known?.status.freeBytes ?? 0;
        const wasAsked = standing(id) === "missing";
        // Who is at it already has taken some of the room.
        const isFit = known?.alive === true && known.status.takesBytes && (wasAsked || freeBytes > blob.sizeBytes);
        return { node: id, zone, weight: freeBytes, door: false, isFit, wasAsked };
      });
    const rank = (some: typeof candidates) => rankNodes({ key: blob.blobId, candidates: some });
    return [true, false].flatMap((fit) => {
      const alike = candidates.filter(({ isFit }) => isFit === fit);
      return [...rank(alike.filter(({ wasAsked }) => wasAsked)), ...rank(alike.filter(({ wasAsked }) => !wasAsked))];
    });
  }

  async #propose(command: Command): Promise<void> {
    await this.#options.group.propose(command);
  }
}
