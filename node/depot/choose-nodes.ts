import { DepositoError } from "../base/errors.ts";
import type { BlobId, LogIndex, NodeId } from "../base/ids.ts";
import { storingMembers } from "../catalog/members.ts";
import { rankNodes } from "../catalog/placement.ts";
import type { DepotOptions } from "./options.ts";

/** The members as a new replica sees them. */
export interface ChosenNodes {
  /** Live and with room for it, best first. */
  readonly takers: readonly NodeId[];
  /** All who store: the takers, then live ones without room, then silent ones; each group best first. */
  readonly ranking: readonly NodeId[];
  /** Which life of each of them is meant: what another one makes durable is not what was asked for. */
  readonly lives: ReadonlyMap<NodeId, LogIndex>;
  readonly liveCount: number;
}

/** Ranks the members for the replicas of a blob, by what they last told of themselves. */
export function chooseNodes(options: DepotOptions, blobId: BlobId, sizeBytes: number): ChosenNodes {
  const { self, replication, gossip, limits, freeBytes } = options;
  const neededBytes = sizeBytes + limits.minFreeBytes;
  const members = storingMembers(replication.members());
  const candidates = members.map(({ id, zone }) => {
    const isSelf = id === self;
    const heard = gossip.of(id);
    const weight = isSelf ? freeBytes() : (heard?.status.freeBytes ?? 0);
    const isLive = isSelf || heard?.alive === true;
    const hasRoom = (isSelf || heard?.status.takesBytes === true) && weight >= neededBytes;
    return { node: id, zone, weight, door: isSelf, isLive, hasRoom };
  });
  const rank = (some: typeof candidates) => rankNodes({ key: blobId, candidates: some });
  const live = candidates.filter(({ isLive }) => isLive);
  const takers = rank(live.filter(({ hasRoom }) => hasRoom));
  const full = rank(live.filter(({ hasRoom }) => !hasRoom));
  const silent = rank(candidates.filter(({ isLive }) => !isLive));
  const lives = new Map(members.map(({ id, life }) => [id, life]));
  return { takers, ranking: [...takers, ...full, ...silent], lives, liveCount: live.length };
}

/** @throws {DepositoError} `not-enough-nodes`, `not-enough-space` when fewer than `enough` can take a replica now. */
export function requireTakers(
  { takers, liveCount }: Pick<ChosenNodes, "takers" | "liveCount">,
  enough: number,
  sizeBytes: number,
): void {
  if (takers.length >= enough) return;
  if (liveCount < enough) {
    throw new DepositoError(
      "not-enough-nodes",
      `at least ${enough} nodes must take a copy; ${liveCount} can be reached`,
    );
  }
  throw new DepositoError(
    "not-enough-space",
    `at least ${enough} nodes must have room for ${sizeBytes} bytes; ${takers.length} have`,
  );
}
