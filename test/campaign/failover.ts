import type { Exit } from "../../scripts/cluster-process.ts";
import type { Cluster } from "../support/cluster.ts";
import type { DepositLoad } from "../support/deposit-load.ts";

const resumeLimitMs = 15_000;

/** How a leader goes. */
export type Departure = "kill" | "stop";

/**
 * How long no deposit begun after the leader was killed (SIGKILL), or told to stop (SIGTERM), is acknowledged. The node is
 * started again afterwards, and all are ready when this resolves. @throws when a leader that was told to stop did not exit with 0.
 */
export async function measureGap(cluster: Cluster, load: DepositLoad, departure: Departure): Promise<number> {
  const leader = await cluster.waitForLeader();
  const goneMs = performance.now();
  const ended: Promise<Exit | undefined> = departure === "kill" ? leader.kill().then(() => undefined) : leader.stop();
  const resumedMs = await cluster.until("a deposit succeeds again", resumeLimitMs, async () => load.firstAfter(goneMs));
  const exit = await ended;
  if (departure === "stop" && exit?.code !== 0) throw new Error(`${leader.id} ended with ${exit?.code}`);
  leader.start();
  await cluster.waitReady();
  await cluster.waitAcquainted();
  return resumedMs - goneMs;
}

/** Of the values in order, the one that so many of them do not exceed; `share` in (0, 1]. */
export function percentile(values: readonly number[], share: number): number {
  const place = Math.max(0, Math.ceil(share * values.length) - 1);
  return values.toSorted((one, other) => one - other)[place] ?? Number.NaN;
}

/** `median 76, p99 269, most 269 ms of 10`. */
export function gapsText(gapsMs: readonly number[]): string {
  const [median, p99, most] = [0.5, 0.99, 1].map((share) => Math.round(percentile(gapsMs, share)));
  return `median ${median}, p99 ${p99}, most ${most} ms of ${gapsMs.length}`;
}
