/**
 * Which nodes hold a file's replicas when its count changes or a replica is made. Add before drop: a present replica is
 * dropped only when as many others as are wanted are present.
 */
import type { NodeId } from "../base/ids.ts";
import type { Holder, MemberRecord } from "./types.ts";

/** `holders` without those beyond `wanted`: missing ones go first, then the last present ones. */
export function trimHolders(holders: readonly Holder[], wanted: number): readonly Holder[] {
  const presentCount = countPresent(holders);
  let present = Math.min(presentCount, wanted);
  let missing = wanted - present;
  return holders.filter(({ state }) => (state === "present" ? present-- > 0 : missing-- > 0));
}

/** `holders` and, up to `wanted`, further nodes as missing ones: by `ranking`, then whatever other members there are. */
export function growHolders(
  holders: readonly Holder[],
  wanted: number,
  ranking: readonly NodeId[],
  members: readonly MemberRecord[],
): readonly Holder[] {
  const grown = [...holders];
  const isMember = (node: NodeId): boolean => members.some(({ id }) => id === node);
  for (const node of [...ranking.filter(isMember), ...members.map(({ id }) => id)]) {
    if (grown.length >= wanted) break;
    if (!grown.some((holder) => holder.node === node)) grown.push({ node, state: "missing" });
  }
  return grown;
}

export function countPresent(holders: readonly Holder[]): number {
  return holders.reduce((count, { state }) => (state === "present" ? count + 1 : count), 0);
}
