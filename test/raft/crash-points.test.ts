import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeId } from "../../node/base/ids.ts";
import { isJoint } from "../../node/raft/configuration.ts";
import type { Configuration } from "../../node/raft/types.ts";
import type { Cluster } from "./cluster.ts";
import { ledCluster } from "./led.ts";
import { configurationOf, electionTimeoutMs, n1, n2, n3, n4 } from "./support.ts";

// A change of members, stopped after every single delivery and sync, there struck by a crash; and again with the other
// order of things. Whatever the crash takes, the group ends with the old members or the new, and can go on to the new.

interface Change {
  readonly title: string;
  readonly from: Partial<Configuration>;
  readonly strangers?: readonly NodeId[];
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

const changes: readonly Change[] = [
  {
    title: "a learner is added",
    from: { voters: [n1, n2, n3] },
    strangers: [n4],
    voters: [n1, n2, n3],
    learners: [n4],
  },
  {
    title: "a learner becomes a voter",
    from: { voters: [n1, n2, n3], learners: [n4] },
    voters: [n1, n2, n3, n4],
    learners: [],
  },
  { title: "a voter is replaced", from: { voters: [n1, n2, n3], learners: [n4] }, voters: [n1, n2, n4], learners: [] },
  {
    title: "the leader is replaced",
    from: { voters: [n1, n2, n3], learners: [n4] },
    voters: [n2, n3, n4],
    learners: [],
  },
  { title: "the leader becomes a learner", from: { voters: [n1, n2, n3] }, voters: [n2, n3], learners: [n1] },
  { title: "one voter becomes three", from: { voters: [n1], learners: [n2, n3] }, voters: [n1, n2, n3], learners: [] },
  { title: "three voters become one", from: { voters: [n1, n2, n3] }, voters: [n1], learners: [] },
];

type Order = "messages first" | "disks first";

/** One delivery or one sync; false when there is nothing left to do at this moment. */
function act(cluster: Cluster, order: Order): boolean {
  const deliver = (): boolean => {
    const flying = cluster.bus.shift();
    if (flying !== undefined) cluster.deliver(flying);
    return flying !== undefined;
  };
  const sync = (): boolean => cluster.running.some((each) => each.sync());
  return order === "messages first" ? deliver() || sync() : sync() || deliver();
}

function began({ from, strangers, voters, learners }: Change, appliesAtOnce: boolean): Cluster {
  const cluster = ledCluster({ configuration: configurationOf(from), strangers: strangers ?? [] });
  for (const each of cluster.nodes.values()) each.appliesAtOnce = appliesAtOnce;
  assert.equal(cluster.change(n1, voters, learners), undefined);
  cluster.propose(n1, "after the change");
  return cluster;
}

function isMade(cluster: Cluster, { voters, learners }: Change): boolean {
  const { leader } = cluster;
  if (leader === undefined) return false;
  const { configuration, commitIndex, last } = leader.alive.status();
  const isWanted = configuration.voters.join() === voters.join() && configuration.learners.join() === learners.join();
  if (isWanted && commitIndex === last.index) return true;
  if (!isJoint(configuration)) cluster.change(leader.id, voters, learners);
  return false;
}

function strike(change: Change, victims: readonly NodeId[], order: Order, afterActs: number): boolean {
  const appliesAtOnce = afterActs % 2 === 0;
  const cluster = began(change, appliesAtOnce);
  for (let done = 0; done < afterActs; done += 1) if (!act(cluster, order)) return false;
  for (const victim of victims) cluster.crash(victim);
  if (victims.length < cluster.nodes.size) cluster.run(3 * electionTimeoutMs);
  for (const victim of victims) cluster.restart(victim);
  for (const each of cluster.nodes.values()) {
    each.appliesAtOnce = true;
    each.apply(Number.POSITIVE_INFINITY);
  }
  for (let turn = 0; !isMade(cluster, change); turn += 1) {
    assert.ok(turn < 400, "the change is never made");
    cluster.run(50);
  }
  cluster.run(2 * electionTimeoutMs);
  for (const id of [...change.voters, ...change.learners]) {
    const { configuration, commitIndex, last } = cluster.at(id).alive.status();
    assert.deepEqual(configuration, configurationOf({ voters: change.voters, learners: change.learners }), id);
    assert.equal(commitIndex, last.index, id);
  }
  return true;
}

for (const change of changes)
  for (const order of ["messages first", "disks first"] as const)
    test(`Crash: ${change.title}, whoever crashes wherever, ${order}`, () => {
      const nodes = [...began(change, true).nodes.keys()];
      let points = 0;
      for (const victims of [...nodes.map((id) => [id]), [n1, n2], nodes])
        for (let afterActs = 0; ; afterActs += 1) {
          try {
            if (!strike(change, victims, order, afterActs)) break;
          } catch (error) {
            if (error instanceof Error) error.message = `${victims.join(" ")} after ${afterActs}: ${error.message}`;
            throw error;
          }
          points += 1;
        }
      assert.ok(points > 30, `${points} crashes`);
    });
