import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../../node/base/ids.ts";
import type { Effects, Entry } from "../../../node/raft/types.ts";
import { ledCluster } from "../led.ts";
import {
  appendRequest,
  at,
  configurationEntry,
  configurationOf,
  electionTimeoutMs,
  entry,
  heartbeat,
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

// Raft §6: cluster membership changes, by joint consensus. What can go wrong on the way: ../joint.test.ts, ../leaving.test.ts.

const three = configurationOf({ voters: [n1, n2, n3] });
const others = configurationOf({ voters: [n1, n4, n5] });
/** C_old,new: from n1, n2, n3 to n1, n4, n5. */
const joint = configurationOf({ voters: [n1, n4, n5], outgoing: [n1, n2, n3] });
const everybody = [n2, n3, n4, n5];

/** A core whose log holds one configuration, not committed. */
function holding(configuration: Partial<typeof joint>, id = n1): Solo {
  return new Solo({ id, configuration: three, entries: [configurationEntry(1, 1, configuration)], term: 1 });
}

/** n1 leads n1, n2, n3, with learners that hold everything, and has committed an entry of its term. */
function leading(...learners: (typeof n4)[]): Solo {
  const solo = new Solo({ configuration: { ...three, learners } });
  solo.lead(n2);
  for (const follower of [n2, n3, ...learners]) solo.match(follower, 1);
  return solo;
}

function change(solo: Solo, voters: (typeof n1)[], learners: (typeof n1)[] = []): Effects {
  return solo.step({ type: "change-membership", voters, learners });
}

function configurationsIn(entries: readonly Entry[]): unknown[] {
  return entries
    .filter(({ kind }) => kind === "configuration")
    .map(({ data }) => JSON.parse(new TextDecoder().decode(data)) as unknown);
}

test("Raft §6: a server uses the latest configuration in its log, committed or not, and loses it with its entry", () => {
  const solo = new Solo();
  solo.receive(n2, appendRequest({ term: 1, entries: [configurationEntry(1, 1, joint)] }));
  assert.deepEqual([solo.core.status().configuration, solo.core.status().commitIndex], [joint, 0]);
  solo.receive(n3, appendRequest({ term: 2, entries: [entry(1, 2)] }));
  assert.deepEqual(solo.core.status().configuration, three);
});

test("Raft §6: a change of voters begins with the joint configuration, in force for the leader at once", () => {
  const solo = leading(n4, n5);
  const effects = change(solo, [n1, n4, n5]);
  assert.deepEqual(configurationsIn(effects.append), [joint]);
  assert.deepEqual(solo.core.status().configuration, joint);
});

test("Raft §6: log entries are replicated to the servers of both configurations", () => {
  const solo = leading(n4, n5);
  change(solo, [n1, n4, n5]);
  const effects = solo.propose("a");
  for (const to of everybody) assert.equal(only(messagesOf(effects, "append-request", to)).entries.length, 1, to);
});

test("Raft §6: a server of either configuration may be leader while it is joint", () => {
  for (const [id, voters] of [
    [n2, [n1, n3, n4]],
    [n4, [n1, n2, n5]],
  ] as const) {
    const solo = holding(joint, id);
    solo.lead(...voters);
    assert.equal(solo.core.status().role, "leader", id);
  }
});

test("Raft §6: an election needs separate majorities of both configurations", () => {
  const solo = holding(joint);
  for (const type of ["pre-vote-response", "vote-response"] as const) {
    if (type === "pre-vote-response") {
      const asked = solo.campaign();
      for (const to of everybody) assert.equal(messagesOf(asked, "pre-vote-request", to).length, 1);
    }
    const role = solo.core.status().role;
    for (const voter of [n4, n5]) solo.receive(voter, { type, term: term(2), granted: true });
    assert.equal(solo.core.status().role, role, `${type}: all of the new, one of three of the old`);
    solo.receive(n3, { type, term: term(2), granted: true });
    assert.notEqual(solo.core.status().role, role);
  }
  assert.equal(solo.core.status().role, "leader");
});

test("Raft §6: a commitment needs separate majorities of both configurations", () => {
  for (const [first, second] of [
    [[n2, n3], n5],
    [[n4, n5], n2],
  ] as const) {
    const solo = holding(joint);
    solo.lead(n2, n3, n4, n5);
    for (const follower of first) solo.match(follower, 2);
    assert.equal(solo.core.status().commitIndex, 0);
    solo.match(second, 2);
    assert.equal(solo.core.status().commitIndex, 2);
  }
});

test("Raft §6: once the joint configuration is committed, the leader appends the new one, and not before", () => {
  const solo = leading(n4, n5);
  change(solo, [n1, n4, n5]);
  const before = [solo.match(n4, 2), solo.match(n5, 2), solo.propose("a")];
  assert.deepEqual(
    before.flatMap(({ append }) => configurationsIn(append)),
    [],
  );
  const { append } = solo.match(n2, 2);
  assert.deepEqual(configurationsIn(append), [others]);
  assert.deepEqual(solo.core.status().configuration, others);
});

test("Raft §6: a later leader that holds the joint configuration does so in the place of the first", () => {
  const solo = holding(joint, n4);
  solo.lead(n1, n2);
  assert.deepEqual(solo.core.status().configuration, joint);
  solo.match(n1, 2);
  const { append } = solo.match(n2, 2);
  assert.deepEqual(configurationsIn(append), [others]);
});

test("Raft §6: the new configuration is committed under its own rules: the old servers are irrelevant", () => {
  const solo = leading(n4, n5);
  change(solo, [n1, n4, n5]);
  for (const follower of [n4, n2]) solo.match(follower, 2);
  for (const follower of [n2, n3]) solo.match(follower, 3);
  assert.equal(solo.core.status().commitIndex, 2);
  solo.match(n5, 3);
  assert.equal(solo.core.status().commitIndex, 3);
});

test("Raft §6: a joint configuration that no majority of the old servers holds may be lost with its leader", () => {
  const cluster = ledCluster({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4, n5] }) });
  cluster.cut(n1, n2, n3);
  cluster.change(n1, [n1, n4, n5]);
  cluster.run(heartbeatMs);
  assert.deepEqual(cluster.at(n4).alive.status().configuration, joint);
  cluster.crash(n1);
  cluster.heal();
  cluster.nowMs = Math.max(cluster.nowMs + electionTimeoutMs, cluster.at(n2).alive.deadlineMs);
  cluster.step(n2, { type: "tick" });
  cluster.settle();
  // n2 and n3 do not know of it, and need nobody who does: they are a majority of the old servers.
  assert.equal(cluster.at(n2).alive.status().role, "leader");
  cluster.run(electionTimeoutMs);
  for (const id of everybody) assert.deepEqual(cluster.at(id).alive.status().configuration.voters, [n1, n2, n3], id);
});

test("Raft §6: new servers join as non-voting members first, and vote once they have caught up", () => {
  const solo = new Solo();
  solo.lead(n2);
  solo.match(n2, 1);
  assert.equal(change(solo, [n1, n2, n3, n4]).refusedMembership, "learner-behind");
  const joined = change(solo, [n1, n2, n3], [n4]);
  assert.deepEqual(configurationsIn(joined.append), [{ ...three, learners: [n4] }]);
  solo.match(n2, 2);
  assert.equal(change(solo, [n1, n2, n3, n4]).refusedMembership, "learner-behind");
  solo.match(n4, 2);
  assert.equal(change(solo, [n1, n2, n3, n4]).refusedMembership, undefined);
});

test("Raft §6: a leader that leaves manages the change without counting itself, and steps down at its commit", () => {
  const solo = leading();
  change(solo, [n2, n3]);
  solo.match(n2, 2);
  assert.equal(solo.core.status().commitIndex, 1, "one of the two new voters");
  solo.match(n3, 2);
  solo.match(n2, 3);
  assert.deepEqual([solo.core.status().commitIndex, solo.core.status().role], [2, "leader"]);
  assert.equal(solo.propose("a").refusedProposals, undefined);
  const ended = solo.match(n3, 3);
  assert.deepEqual([solo.core.status().commitIndex, solo.core.status().role], [3, "follower"]);
  assert.equal(messagesOf(ended, "timeout-now").length, 1, "and nobody waits for an election timeout");
});

test("Raft §6: one change at a time: none begins before the last configuration is committed", () => {
  const solo = leading(n4, n5);
  const next = () => change(solo, [n1, n2, n3, n4], [n5]).refusedMembership;
  change(solo, [n1, n4, n5]);
  assert.equal(next(), "change-under-way", "joint");
  for (const follower of [n2, n4]) solo.match(follower, 2);
  assert.equal(next(), "change-under-way", "the new one is not committed");
  solo.match(n4, 3);
  assert.equal(next(), "learner-behind", "n2 and n3 are not even learners now");
});

test("Raft §6: nor does one begin before an entry of the own term is committed (dissertation §4.1)", () => {
  const solo = new Solo({ terms: [1] });
  solo.lead(n2);
  assert.equal(change(solo, [n1, n2, n3], [n4]).refusedMembership, "too-early");
  solo.match(n2, 2);
  assert.equal(change(solo, [n1, n2, n3], [n4]).refusedMembership, undefined);
});

test("Raft §6: within an election timeout of hearing a leader a vote is not granted, nor the term taken over", () => {
  const solo = new Solo({ terms: [1] });
  solo.receive(n2, heartbeat({ term: 1 }));
  solo.passMs(electionTimeoutMs - 1);
  const ignored = solo.receive(n3, voteRequest({ term: 2, last: at(1, 1) }));
  assert.deepEqual([messagesOf(ignored, "vote-response"), ignored.hardState, solo.term], [[], undefined, 1]);
  solo.passMs(1);
  const later = solo.receive(n3, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(later, "vote-response")).granted, true);
});

test("Raft §6: a leader that a quorum hears takes over no term from a request for a vote", () => {
  const solo = leading();
  solo.receive(n4, voteRequest({ term: 50, last: at(99, 99) }));
  assert.deepEqual([solo.core.status().role, solo.term], ["leader", 1]);
});

test("Raft §6: a removed server that does not know it disrupts nobody, whatever it asks for", () => {
  const cluster = ledCluster({ voters: 4 });
  cluster.cut(n4);
  assert.equal(cluster.change(n1, [n1, n2, n3]), undefined);
  cluster.run(2 * heartbeatMs);
  cluster.heal();
  cluster.run(10 * electionTimeoutMs);
  // Even without a pre-vote, as a server of another make would.
  for (const to of [n1, n2, n3]) cluster.post({ from: n4, to, message: voteRequest({ term: 50, last: at(99, 99) }) });
  cluster.run(electionTimeoutMs);
  assert.deepEqual(
    [n1, n2, n3].map((id) => [cluster.at(id).alive.status().term, cluster.at(id).alive.status().leader]),
    [
      [1, n1],
      [1, n1],
      [1, n1],
    ],
  );
});
