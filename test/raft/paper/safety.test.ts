import assert from "node:assert/strict";
import { test } from "node:test";
import { type NodeId, term } from "../../../node/base/ids.ts";
import { Cluster } from "../cluster.ts";
import { ledCluster } from "../led.ts";
import {
  at,
  electionTimeoutMs,
  entriesOf,
  heartbeatMs,
  messagesOf,
  n1,
  n2,
  n3,
  n4,
  n5,
  only,
  Solo,
  voteRequest,
} from "../support.ts";

// Raft §5.4: what makes the state machines the same.

test("Raft §5.4.1: a candidate whose log is less up to date gets no vote and no pre-vote", () => {
  const cases = [
    { last: at(2, 2), granted: false },
    { last: at(9, 1), granted: false },
    { last: at(3, 2), granted: true },
    { last: at(4, 2), granted: true },
    { last: at(1, 3), granted: true },
  ];
  for (const { last, granted } of cases) {
    const vote = new Solo({ terms: [1, 1, 2] }).receive(n2, voteRequest({ term: 5, last }));
    assert.equal(only(messagesOf(vote, "vote-response")).granted, granted, `vote for ${last.index}@${last.term}`);
    const preVote = new Solo({ terms: [1, 1, 2] }).receive(n2, { type: "pre-vote-request", term: term(5), last });
    assert.equal(only(messagesOf(preVote, "pre-vote-response")).granted, granted);
  }
});

test("Raft §5.4.1: whoever lacks a committed entry is not elected, however long it tries", () => {
  const cluster = ledCluster();
  cluster.cut(n3);
  cluster.propose(n1, "committed");
  cluster.settle();
  cluster.crash(n1);
  cluster.heal();
  // Only n3's timer ever runs out: n2 holds the entry, and refuses.
  for (let attempt = 0; attempt < 5; attempt += 1) {
    cluster.nowMs = cluster.at(n3).alive.deadlineMs;
    cluster.step(n3, { type: "tick" });
    cluster.settle();
    assert.notEqual(cluster.at(n3).alive.status().role, "leader");
  }
  cluster.elect(n2);
  cluster.run(2 * heartbeatMs);
  assert.deepEqual(cluster.logOf(n3)[1], "2@1:committed");
});

test("Raft §5.4.1: a new leader holds every entry that was committed (Leader Completeness)", () => {
  const voters: readonly NodeId[] = [n1, n2, n3, n4, n5];
  // Each pair of nodes is away while something is committed, and each other node tries to lead after it.
  for (const away of voters)
    for (const alsoAway of voters.filter((id) => id > away)) {
      const present = voters.filter((id) => id !== away && id !== alsoAway);
      const [leader = n1, ...followers] = present;
      const cluster = new Cluster({ voters: 5 });
      cluster.elect(leader);
      cluster.run(3 * heartbeatMs);
      for (const id of [away, alsoAway]) cluster.cut(id);
      cluster.propose(leader, "committed");
      cluster.settle();
      assert.equal(cluster.at(leader).alive.status().commitIndex, 2);
      cluster.crash(leader);
      cluster.heal();
      cluster.runUntil(() => cluster.leader !== undefined, 20 * electionTimeoutMs);
      assert.ok(
        followers.includes(cluster.leader?.id ?? leader),
        `${cluster.leader?.id} leads, away: ${away} ${alsoAway}`,
      );
      assert.equal(cluster.logOf(cluster.leader?.id ?? leader)[1], "2@1:committed");
    }
});

test("Raft §5.4.2: an entry of an older term is not committed by counting, but by one of the own term after it", () => {
  const solo = new Solo({ terms: [1, 2], term: 3 });
  solo.lead(n2);
  for (const follower of [n2, n3]) solo.match(follower, 2);
  assert.equal(solo.core.status().commitIndex, 0, "index 2 is everywhere, and of term 2");
  solo.match(n2, 3);
  assert.equal(solo.core.status().commitIndex, 3);
});

/** Figure 8 (c): n1 leads term 4 and has brought its entry of term 2 to n3 and n4; n5 holds one of term 3 in its place. */
function figure8(): Cluster {
  const logs = [[1, 2], [1, 2], [1], [1], [1, 3]].map((terms) => entriesOf(terms));
  const cluster = new Cluster({ voters: 5, logs, settings: { maxAppendBytes: 1 } });
  for (const each of cluster.nodes.values()) {
    each.disk.hardState = { term: term(3), votedFor: undefined };
    each.start(0);
  }
  cluster.cut(n5);
  // The entry of term 4 is lost on its way to whoever could store it.
  cluster.filter = ({ to, message }) =>
    message.type !== "append-request" ||
    message.entries.every(({ index }) => index <= 2) ||
    cluster.logOf(to).length < 2;
  cluster.elect(n1);
  cluster.run(5 * heartbeatMs);
  const matches = [n3, n4].map((id) => cluster.at(n1).alive.status().progress.get(id)?.matchIndex);
  assert.deepEqual(matches, [2, 2], "n1 knows that three of five hold it");
  return cluster;
}

test("Raft §5.4.2: figure 8 (d): an entry of an older term on a majority is overwritten, and was never committed", () => {
  const cluster = figure8();
  assert.ok(cluster.running.every(({ alive }) => alive.status().commitIndex === 0));
  cluster.crash(n1);
  cluster.heal();
  cluster.run(electionTimeoutMs);
  cluster.elect(n5);
  cluster.restart(n1);
  cluster.run(5 * heartbeatMs);
  assert.ok(cluster.running.every(({ id }) => cluster.logOf(id)[1] === "2@3:2@3"));
});

test("Raft §5.4.2: figure 8 (e): once an entry of the own term is committed, nobody without it is elected", () => {
  const cluster = figure8();
  cluster.filter = () => true;
  cluster.run(5 * heartbeatMs);
  assert.equal(cluster.at(n1).alive.status().commitIndex, 3);
  cluster.crash(n1);
  cluster.heal();
  cluster.run(electionTimeoutMs);
  cluster.nowMs = Math.max(cluster.nowMs, cluster.at(n5).alive.deadlineMs);
  cluster.step(n5, { type: "tick" });
  cluster.settle();
  assert.notEqual(cluster.at(n5).alive.status().role, "leader");
  cluster.runUntil(() => cluster.leader !== undefined, 20 * electionTimeoutMs);
  cluster.run(5 * heartbeatMs);
  assert.ok(cluster.running.every(({ id }) => cluster.logOf(id)[1] === "2@2:2@2"));
});

test("Raft §5.4.3: two nodes never apply different entries at one index (State Machine Safety)", () => {
  const applied = new Map<number, string>();
  const cluster = new Cluster({
    voters: 5,
    stepped: ({ id }, _, { committed }) => {
      for (const { index, term: ofTerm, data } of committed) {
        const entry = `${ofTerm}:${new TextDecoder().decode(data)}`;
        assert.equal(applied.get(index) ?? entry, entry, `${id} at ${index}`);
        applied.set(index, entry);
      }
    },
  });
  // Each leader in turn is cut off with entries that only it holds, and comes back to find others in their place.
  for (let round = 0; round < 8; round += 1) {
    cluster.runUntil(() => cluster.leader !== undefined, 20 * electionTimeoutMs);
    const leader = cluster.leader?.id ?? n1;
    cluster.propose(leader, `kept ${round}`);
    cluster.run(heartbeatMs);
    cluster.cut(leader);
    cluster.propose(leader, `lost ${round}`);
    cluster.runUntil(() => cluster.leader !== undefined && cluster.leader.id !== leader, 20 * electionTimeoutMs);
    cluster.propose(cluster.leader?.id ?? n1, `instead ${round}`);
    cluster.run(heartbeatMs);
    cluster.heal();
    cluster.run(2 * heartbeatMs);
  }
  cluster.run(2 * electionTimeoutMs);
  const texts = [...applied.values()].join();
  for (let round = 0; round < 8; round += 1) {
    assert.ok(texts.includes(`kept ${round}`) && texts.includes(`instead ${round}`), `round ${round}`);
    assert.ok(!texts.includes(`lost ${round}`), `round ${round}`);
  }
  for (const { id } of cluster.running) assert.deepEqual(cluster.logOf(id), cluster.logOf(n1), id);
});

test("Raft §5.4.3: an entry that contradicts a committed one ends the process rather than to be applied", () => {
  const solo = new Solo();
  const entries = entriesOf([1, 1]);
  solo.receive(n2, { type: "append-request", term: term(1), previous: at(0, 0), entries, commitIndex: at(2, 1).index });
  const other = { ...at(1, 2), kind: "command", data: new Uint8Array() } as const;
  assert.throws(
    () =>
      solo.receive(n3, {
        type: "append-request",
        term: term(2),
        previous: at(0, 0),
        entries: [other],
        commitIndex: at(0, 0).index,
      }),
    { name: "InvariantError" },
  );
});
