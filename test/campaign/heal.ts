import { setTimeout as delay } from "node:timers/promises";
import type { Field } from "./field.ts";

const healLimitMs = 60_000;
const attemptMs = 5000;
const pauseMs = 200;

/**
 * Waits, after the last fault, until every node is ready, all know each other, there is a leader and every replica is present.
 * Nodes may still end and be started again meanwhile.
 * @throws with what is missing after a minute.
 */
export async function waitHealed({ cluster }: Field): Promise<void> {
  const giveUpAt = performance.now() + healLimitMs;
  for (;;) {
    try {
      await cluster.waitReady(cluster.members, attemptMs);
      await cluster.waitForLeader(undefined, attemptMs);
      await cluster.waitAcquainted(attemptMs);
      await cluster.waitWhole(Math.max(attemptMs, giveUpAt - performance.now()));
      return;
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await delay(pauseMs);
    }
  }
}
