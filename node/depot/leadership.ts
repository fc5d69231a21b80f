import { pause } from "../base/aborting.ts";
import { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import type { DepotOptions } from "./options.ts";

const limitMs = 5000;
/** The request may be lost, or come while members change. Not more often: while it is tried, nothing can be proposed. */
const askEveryMs = 2500;

/**
 * Hands leadership to `to`; resolves once this node sees it lead.
 * @throws {DepositoError} `node-not-found`; `node-mismatch`: it does not vote; `node-unreachable`: not within some seconds.
 */
export async function moveLeadership(options: DepotOptions, to: NodeId): Promise<{ readonly term: number }> {
  const { self, replication, gossip, clock } = options;
  if (!replication.members().some(({ id }) => id === to))
    throw new DepositoError("node-not-found", `there is no node ${to} in the group`);
  if (!replication.configuration().voters.includes(to))
    throw new DepositoError("node-mismatch", `node ${to} does not vote, so it cannot lead`);
  if (to !== self && gossip.of(to)?.alive !== true)
    throw new DepositoError("node-unreachable", `node ${to} cannot be reached now: see that it runs`);
  const giveUpMs = clock.monotonicMs() + limitMs;
  while (clock.monotonicMs() < giveUpMs) {
    if (replication.raft().leader === to) return { term: replication.raft().term };
    const moved = new AbortController();
    const stop = replication.onGroupChange(() => {
      if (replication.raft().leader === to) moved.abort();
    });
    replication.transferLeadership(to);
    await pause(clock, askEveryMs, moved.signal);
    stop();
  }
  throw new DepositoError("node-unreachable", `node ${to} did not take over within ${limitMs} ms: try again`);
}
