/**
 * Which nodes shall take a file's replicas: rendezvous hashing weighted by free space, zones spread first.
 *
 *   each node draws a lot from (key, its id); more free space draws better ──► ranking within each zone
 *   take the best of the zone that was taken from least, again and again   ──► the ranking
 *
 * The first k nodes are the choice for k replicas. A node that comes or goes moves no replica between two others.
 */
import { hash } from "node:crypto";
import type { NodeId } from "../base/ids.ts";

/** A node that could take a replica. */
export interface Candidate {
  readonly node: NodeId;
  readonly zone: string;
  /** Free bytes; nodes without any come after all others. */
  readonly weight: number;
  /** Whether this is the node the client asked: its copy needs no way over the net. */
  readonly door: boolean;
}

/** The door counts as no fuller than the rest down to this share of their mean free space. */
const doorShare = 0.9;

/**
 * All candidates, best first. Pure: the same key and candidates give the same ranking, in whatever order they are given.
 * Over many keys a node comes first in proportion to its weight (Thaler and Ravishankar's highest random weight, in the
 * weighted form −w / ln h); the door comes first while it is not fuller than the rest.
 */
export function rankNodes(options: {
  /** What is placed: a blob id, or client and name. */
  readonly key: string;
  readonly candidates: readonly Candidate[];
}): readonly NodeId[] {
  const { key, candidates } = options;
  const scored = candidates
    .map((candidate) => ({ ...candidate, score: scoreOf(key, candidate, candidates) }))
    .sort((a, b) => b.score - a.score || (a.node < b.node ? -1 : 1));
  const [roomy, full] = [scored.filter(({ weight }) => weight > 0), scored.filter(({ weight }) => !(weight > 0))];
  return [...spreadOverZones(roomy), ...spreadOverZones(full)];
}

/** Takes, again and again, the best one of the zones that least was taken from. */
function spreadOverZones(candidates: readonly Candidate[]): readonly NodeId[] {
  const remaining = [...candidates];
  const takenByZone = new Map<string, number>();
  const takenFrom = ({ zone }: Candidate): number => takenByZone.get(zone) ?? 0;
  const ranking: NodeId[] = [];
  while (remaining.length > 0) {
    const fewest = Math.min(...remaining.map(takenFrom));
    const next = remaining.findIndex((candidate) => takenFrom(candidate) === fewest);
    for (const { node, zone } of remaining.splice(next, 1)) {
      ranking.push(node);
      takenByZone.set(zone, fewest + 1);
    }
  }
  return ranking;
}

function scoreOf(key: string, candidate: Candidate, candidates: readonly Candidate[]): number {
  const { node, weight, door } = candidate;
  if (door && !isFuller(candidate, candidates)) return Number.POSITIVE_INFINITY;
  return -weight / Math.log(lotOf(key, node));
}

function isFuller(door: Candidate, candidates: readonly Candidate[]): boolean {
  const rest = candidates.filter(({ node }) => node !== door.node);
  const mean = rest.reduce((sum, { weight }) => sum + weight, 0) / Math.max(1, rest.length);
  return door.weight < doorShare * mean;
}

/** Uniform in (0, 1), the same for the same key and node. */
function lotOf(key: string, node: NodeId): number {
  const digest = hash("sha256", `${key}\0${node}`, "hex");
  return (Number.parseInt(digest.slice(0, 12), 16) + 0.5) / 2 ** 48;
}
