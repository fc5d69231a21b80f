import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../../node/base/ids.ts";
import { Cluster } from "../cluster.ts";
import { configurationOf, electionTimeoutMs, n1, n2, n3, n4, n5 } from "../support.ts";

// Ongaro's dissertation, §6.2: a leader that hears no majority steps down.

test("CheckQuorum §6.2: a leader that hears no majority for an election timeout steps down, and falls silent", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n1);
  cluster.run(electionTimeoutMs - 60);
  assert.equal(cluster.at(n1).alive.status().role, "leader");
  cluster.run(120);
  assert.notEqual(cluster.at(n1).alive.status().role, "leader");
  const before = cluster.sent.length;
  assert.equal(cluster.propose(n1, "lost").refusedProposals, "not-leader");
  cluster.step(n1, { type: "message", from: n2, message: { type: "heartbeat-response", term: term(1), round: 0 } });
  cluster.run(electionTimeoutMs);
  assert.ok(
    cluster.sent.slice(before).every(({ from, message }) => from !== n1 || message.type.startsWith("pre-vote")),
  );
});

test("CheckQuorum §6.2: it steps down in the same term, and may be elected again when it is heard", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n1);
  cluster.cut(n2);
  cluster.run(2 * electionTimeoutMs);
  assert.equal(cluster.leader, undefined);
  assert.deepEqual(
    cluster.running.map(({ alive }) => alive.status().term),
    [1, 1, 1],
  );
  cluster.heal();
  cluster.runUntil(() => cluster.leader !== undefined, 5 * electionTimeoutMs);
});

test("CheckQuorum §6.2: any answer of a majority keeps it, also where appends are all it hears", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.filter = ({ message }) => message.type !== "heartbeat-response";
  cluster.cut(n3);
  for (let beat = 0; beat < 20; beat += 1) {
    cluster.propose(n1, `p${beat}`);
    cluster.run(electionTimeoutMs / 4);
  }
  assert.equal(cluster.at(n1).alive.status().role, "leader");
});

test("CheckQuorum §6.2: learners are no quorum, and one follower of two is enough", () => {
  const configuration = configurationOf({ voters: [n1, n2, n3], learners: [n4, n5] });
  const cluster = new Cluster({ configuration });
  cluster.elect(n1);
  cluster.cut(n3);
  cluster.run(5 * electionTimeoutMs);
  assert.equal(cluster.leader?.id, n1);
  cluster.cut(n2);
  cluster.run(electionTimeoutMs + 60);
  assert.notEqual(cluster.at(n1).alive.status().role, "leader");
});

test("CheckQuorum §6.2: the majority elects another leader meanwhile, and the old one follows it on its return", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n1);
  cluster.propose(n1, "overwritten");
  cluster.runUntil(() => cluster.leader !== undefined && cluster.leader.id !== n1, 5 * electionTimeoutMs);
  cluster.propose(cluster.leader?.id ?? n2, "kept");
  cluster.settle();
  cluster.heal();
  cluster.run(electionTimeoutMs);
  assert.equal(cluster.at(n1).alive.status().leader, cluster.leader?.id);
  assert.deepEqual(cluster.logOf(n1), cluster.logOf(n3));
});

test("CheckQuorum §6.2: a follower that a one-way cut keeps from answering does not stop the group", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  // n1 hears nobody, but everybody hears n1: without the check they would follow a leader that can commit nothing.
  for (const id of [n2, n3]) cluster.cutOneWay(id, n1);
  cluster.runUntil(() => cluster.leader !== undefined && cluster.leader.id !== n1, 6 * electionTimeoutMs);
});
