import type { NodeId } from "../base/ids.ts";
import { storingMembers } from "../catalog/members.ts";
import type { FileRecord } from "../catalog/types.ts";
import type { DepotOptions } from "./options.ts";

/**
 * The nodes to read a file's bytes from, in the order to try them: this one, then live peers, then those that are leaving,
 * which often do because something is wrong with them, then silent ones, which may only be slow to tell of themselves. Each
 * file begins with another of the peers, so that none serves them all. Where
 * no replica is present any more, those who shall have one are asked: a damaged one may be readable in part.
 */
export function sourcesOf(
  { self, gossip, replication }: Pick<DepotOptions, "self" | "gossip" | "replication">,
  record: FileRecord,
): readonly NodeId[] {
  const present = record.holders.filter(({ state }) => state === "present");
  const candidates = (present.length > 0 ? present : record.holders).map(({ node }) => node);
  const peers = candidates.filter((node) => node !== self);
  const first = peers.length === 0 ? 0 : Number.parseInt(record.blob.blobId.slice(0, 8), 16) % peers.length;
  const spread = [...peers.slice(first), ...peers.slice(0, first)];
  const staying = storingMembers(replication.members()).map(({ id }) => id);
  const rank = (node: NodeId) => (gossip.of(node)?.alive !== true ? 2 : staying.includes(node) ? 0 : 1);
  const own = candidates.includes(self) ? [self] : [];
  return [...own, ...spread.sort((one, other) => rank(one) - rank(other))];
}
