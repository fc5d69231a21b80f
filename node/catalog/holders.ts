/**
 * Which nodes hold a file's replicas when its count changes, a replica is made, or a node leaves. Add before drop: a
 * present replica is dropped only when as many others as are wanted are present, or as many as there are nodes for.
 *
 * A leaving node never counts towards the wanted ones. It keeps what it has, beside them, until they do without it.
 */
import type { NodeId } from "../base/ids.ts";
import { storingMembers } from "./members.ts";
import type { FileRecord, Holder, MemberRecord } from "./types.ts";

/** `holders` without those beyond `wanted`: missing ones go first, then the last present ones. */
export function trimHolders(
  holders: readonly Holder[],
  wanted: number,
  members: readonly MemberRecord[],
): readonly Holder[] {
  const storing = idsOf(storingMembers(members));
  const staying = holders.filter(({ node }) => storing.includes(node));
  let present = Math.min(countPresent(staying), wanted);
  let missing = wanted - present;
  const kept = staying.filter(({ state }) => (state === "present" ? present-- > 0 : missing-- > 0));
  const enough = Math.min(wanted, storing.length);
  const lacks = { present: countPresent(kept) < enough, missing: kept.length < enough };
  return holders.filter((holder) => (staying.includes(holder) ? kept.includes(holder) : lacks[holder.state]));
}

/** `holders` and, up to `wanted`, further nodes as missing ones: by `ranking`, then whatever other members there are. */
export function growHolders(
  holders: readonly Holder[],
  wanted: number,
  ranking: readonly NodeId[],
  members: readonly MemberRecord[],
): readonly Holder[] {
  const storing = idsOf(storingMembers(members));
  const grown = [...holders];
  let staying = holders.filter(({ node }) => storing.includes(node)).length;
  for (const node of [...ranking.filter((each) => storing.includes(each)), ...storing]) {
    if (staying >= wanted) break;
    if (grown.some((holder) => holder.node === node)) continue;
    grown.push({ node, state: "missing" });
    staying += 1;
  }
  return grown;
}

/**
 * The holders a file should have now: nobody waits for what a leaving node lacks, nor for anything of a lost one. What no
 * node has made yet goes to those of `ranking`, and only then to those that were asked for it before: they may be gone.
 */
export function settleHolders(
  { holders, replicas }: Pick<FileRecord, "holders" | "replicas">,
  ranking: readonly NodeId[],
  members: readonly MemberRecord[],
): readonly Holder[] {
  const made = holders.filter(({ node, state }) => {
    const standing = members.find(({ id }) => id === node)?.state;
    return state === "present" && (standing === "member" || standing === "leaving");
  });
  const asked = holders.filter(({ state }) => state === "missing").map(({ node }) => node);
  return trimHolders(growHolders(made, replicas, [...ranking, ...asked], members), replicas, members);
}

export function countPresent(holders: readonly Holder[]): number {
  return holders.reduce((count, { state }) => (state === "present" ? count + 1 : count), 0);
}

function idsOf(members: readonly MemberRecord[]): readonly NodeId[] {
  return members.map(({ id }) => id);
}
