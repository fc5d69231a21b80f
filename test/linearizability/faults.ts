import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../support/cluster.ts";
import type { ClusterMember } from "../support/cluster-member.ts";

/** Uniform in [0, 1). */
type Random = () => number;

/** One way to hurt a cluster; resolves once it is undone. */
interface Fault {
  readonly name: string;
  readonly needsProxies: boolean;
  /** How many of the draws are its own. */
  readonly weight: number;
  strike(cluster: Cluster, lastsMs: number, random: Random): Promise<void>;
}

/** The same numbers for the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function pick<T>(from: readonly T[], random: Random): T {
  const chosen = from[Math.floor(random() * from.length)];
  if (chosen === undefined) throw new RangeError("nothing to pick from");
  return chosen;
}

async function killFor(members: readonly ClusterMember[], lastsMs: number): Promise<void> {
  await Promise.all(members.map((member) => member.kill()));
  await delay(lastsMs);
  for (const member of members) member.start();
}

async function pauseFor(member: ClusterMember, lastsMs: number): Promise<void> {
  member.pause();
  await delay(lastsMs);
  member.resume();
}

async function leaderOrAny(cluster: Cluster, random: Random): Promise<ClusterMember> {
  return (await cluster.leader()) ?? pick(cluster.members, random);
}

/** Everything a campaign draws from. */
const faults: readonly Fault[] = [
  {
    name: "kill a node",
    needsProxies: false,
    weight: 3,
    strike: (cluster, lastsMs, random) => killFor([pick(cluster.members, random)], lastsMs),
  },
  {
    name: "kill the leader",
    needsProxies: false,
    weight: 3,
    strike: async (cluster, lastsMs, random) => killFor([await leaderOrAny(cluster, random)], lastsMs),
  },
  {
    name: "kill all",
    needsProxies: false,
    weight: 1,
    strike: (cluster) => killFor(cluster.members, 0),
  },
  {
    name: "pause a node",
    needsProxies: false,
    weight: 3,
    strike: (cluster, lastsMs, random) => pauseFor(pick(cluster.members, random), lastsMs),
  },
  {
    name: "pause the leader",
    needsProxies: false,
    weight: 3,
    strike: async (cluster, lastsMs, random) => pauseFor(await leaderOrAny(cluster, random), lastsMs),
  },
  {
    name: "cut the leader off",
    needsProxies: true,
    weight: 3,
    strike: async (cluster, lastsMs, random) => {
      cluster.network.isolate((await leaderOrAny(cluster, random)).id);
      await delay(lastsMs);
      cluster.network.heal();
    },
  },
  {
    name: "cut one way",
    needsProxies: true,
    weight: 3,
    strike: async (cluster, lastsMs, random) => {
      const from = pick(cluster.members, random);
      const to = pick(
        cluster.members.filter((member) => member !== from),
        random,
      );
      cluster.network.cutOneWay(from.id, to.id);
      await delay(lastsMs);
      cluster.network.heal();
    },
  },
];

const calmMs = { from: 300, to: 1200 };
const lastsMs = { from: 200, to: 2000 };
/** So long a cluster may need to have a leader again; then it is hurt further, all the same. */
const recoverMs = 10_000;
const pollMs = 50;

/** One fault after the other until `signal`, each undone before the next; how often each struck. */
export async function strikeUntil(
  cluster: Cluster,
  signal: AbortSignal,
  random: Random,
): Promise<ReadonlyMap<string, number>> {
  const struck = new Map<string, number>();
  const between = ({ from, to }: { readonly from: number; readonly to: number }) => from + random() * (to - from);
  const possible = faults
    .filter(({ needsProxies }) => cluster.isProxied || !needsProxies)
    .flatMap((fault) => Array<Fault>(fault.weight).fill(fault));
  for (;;) {
    await delay(between(calmMs));
    if (signal.aborted) return struck;
    const fault = pick(possible, random);
    await fault.strike(cluster, between(lastsMs), random);
    struck.set(fault.name, (struck.get(fault.name) ?? 0) + 1);
    const recoveredBy = performance.now() + recoverMs;
    while ((await cluster.leader()) === undefined && performance.now() < recoveredBy) await delay(pollMs);
  }
}
