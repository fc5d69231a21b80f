import { Cluster } from "../support/cluster.ts";
import { DepositLoad } from "../support/deposit-load.ts";
import { type Departure, gapsText, measureGap, percentile } from "./failover.ts";
import { depositForPauses, pauseLeader } from "./paused-leader.ts";

// The long forms of what test/cluster/failover.test.ts shows shortly, as a user's cluster is configured.

/** What a gap may be, in ms: half of them, and all but one in a hundred. */
const gapLimitsMs: Readonly<Record<Departure, { readonly median: number; readonly p99: number }>> = {
  kill: { median: 300, p99: 1500 },
  stop: { median: 200, p99: 200 },
};

type Say = (line: string) => void;

/** Kills the leader so many times, and tells it to stop as often, under load; whether gaps and promises were kept. */
export async function measureFailover(times: number, stop: AbortSignal, say: Say): Promise<boolean> {
  return await onCluster(async (cluster) => {
    const client = await cluster.registerClient();
    const nodes = cluster.members.map(({ id }) => id);
    const load = new DepositLoad({ client, nodes, writers: 6, replicas: 3, sizeBytes: 2000 });
    let isKept = true;
    for (const departure of ["kill", "stop"] as const) {
      const gapsMs: number[] = [];
      while (gapsMs.length < times && !stop.aborted) {
        gapsMs.push(await measureGap(cluster, load, departure));
        if (gapsMs.length % 10 === 0) say(`${departure} ${gapsMs.length} of ${times}: ${gapsText(gapsMs)}`);
      }
      const { median, p99 } = gapLimitsMs[departure];
      say(`${departure}: ${gapsText(gapsMs)}; limits ${median} and ${p99} ms`);
      isKept &&= percentile(gapsMs, 0.5) <= median && percentile(gapsMs, 0.99) <= p99;
    }
    await load.stop();
    await cluster.waitWhole();
    const lost = (await Promise.all(nodes.map((node) => load.lostFrom(node)))).flat();
    const some = lost
      .slice(0, 5)
      .map((text) => `\n  ${text}`)
      .join("");
    say(`${load.acknowledged.size} acknowledged, ${lost.length} lost${some}`);
    return isKept && lost.length === 0;
  });
}

/** Pauses the leader so many times and reads through it as it wakes up; whether no answer was stale. */
export async function measurePauses(times: number, stop: AbortSignal, say: Say): Promise<boolean> {
  return await onCluster(async (cluster) => {
    const client = await cluster.registerClient();
    await depositForPauses(client, "n1");
    const sum = { rounds: 0, answered: 0, refused: 0, stale: 0 };
    while (sum.rounds < times && !stop.aborted) {
      const { answered, refused, stale } = await pauseLeader(cluster, client, sum.rounds);
      for (const text of stale) say(`STALE: ${text}`);
      sum.rounds++;
      sum.answered += answered;
      sum.refused += refused;
      sum.stale += stale.length;
      if (sum.rounds % 20 === 0 || sum.rounds === times)
        say(`${sum.rounds} pauses: ${sum.answered} reads answered, ${sum.refused} refused, ${sum.stale} stale`);
    }
    return sum.stale === 0 && sum.answered > 0;
  });
}

async function onCluster(measure: (cluster: Cluster) => Promise<boolean>): Promise<boolean> {
  const cluster = await Cluster.create({ config: { raft: {} } });
  try {
    await cluster.start();
    return await measure(cluster);
  } finally {
    await cluster.close();
  }
}
