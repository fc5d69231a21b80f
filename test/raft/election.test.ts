import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../node/base/ids.ts";
import { Cluster } from "./cluster.ts";
import {
  appendRequest,
  at,
  configurationOf,
  electionTimeoutMs,
  heartbeat,
  messagesOf,
  n1,
  n2,
  n3,
  n4,
  n5,
  only,
  Solo,
  voteRequest,
} from "./support.ts";

test("Raft: a node starts as a follower that knows no leader (§5.2)", () => {
  const { role, leader, term: ofTerm } = new Solo({ term: 3 }).core.status();
  assert.deepEqual({ role, leader, ofTerm }, { role: "follower", leader: undefined, ofTerm: 3 });
});

test("Raft: the term on start is at least that of the last entry, and the vote of an older term is void", () => {
  const solo = new Solo({ terms: [1, 4], hardState: { term: term(3), votedFor: n2 } });
  assert.equal(solo.term, 4);
  const answer = solo.receive(n3, voteRequest({ term: 4, last: at(2, 4) }));
  assert.equal(only(messagesOf(answer, "vote-response")).granted, true);
});

test("Raft: without a leader a follower asks for pre-votes after a timeout in [T, 2T), then again", () => {
  for (let seed = 1; seed < 50; seed += 1) {
    const solo = new Solo({ random: () => (seed % 50) / 50 });
    const delay = solo.core.deadlineMs - solo.nowMs;
    assert.ok(delay >= electionTimeoutMs && delay < 2 * electionTimeoutMs, `${delay} ms`);
    assert.equal(messagesOf(solo.tick(), "pre-vote-request").length, 2);
    assert.equal(messagesOf(solo.tick(), "pre-vote-request").length, 2);
  }
});

test("Raft: a heartbeat or an append from the leader puts the election off (§5.2)", () => {
  const solo = new Solo({ terms: [1] });
  solo.passMs(solo.core.deadlineMs - solo.nowMs - 1);
  solo.receive(n2, heartbeat({ term: 1 }));
  assert.ok(solo.core.deadlineMs >= solo.nowMs + electionTimeoutMs);
  solo.passMs(400);
  solo.receive(n2, appendRequest({ term: 1, previous: at(1, 1) }));
  assert.ok(solo.core.deadlineMs >= solo.nowMs + electionTimeoutMs);
});

test("Raft: a pre-candidate changes neither term nor vote, and becomes a candidate by a majority of pre-votes (PreVote)", () => {
  const solo = new Solo({ terms: [1] });
  const asked = solo.campaign();
  assert.equal(asked.hardState, undefined);
  assert.equal(solo.term, 1);
  assert.deepEqual(
    messagesOf(asked, "pre-vote-request").map((request) => request.term),
    [2, 2],
  );
  const stood = solo.receive(n2, { type: "pre-vote-response", term: term(2), granted: true });
  assert.deepEqual(stood.hardState, { term: 2, votedFor: n1 });
  assert.equal(solo.core.status().role, "candidate");
});

test("Raft: the vote requests of a candidate wait for the sync of its own vote", () => {
  const solo = new Solo({ terms: [1] });
  solo.campaign();
  const stood = solo.receive(n2, { type: "pre-vote-response", term: term(2), granted: true });
  assert.equal(messagesOf({ messages: stood.messages, messagesAfterSync: [] }, "vote-request").length, 0);
  assert.equal(messagesOf(stood, "vote-request").length, 2);
});

test("Raft: a candidate wins by a majority of the full group, and duplicates of one answer count once (§5.2)", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3, n4, n5] }) });
  solo.campaign();
  for (const voter of [n2, n3]) solo.receive(voter, { type: "pre-vote-response", term: term(1), granted: true });
  for (let copy = 0; copy < 3; copy += 1) solo.receive(n2, { type: "vote-response", term: term(1), granted: true });
  assert.equal(solo.core.status().role, "candidate");
  solo.receive(n3, { type: "vote-response", term: term(1), granted: true });
  assert.equal(solo.core.status().role, "leader");
});

test("Raft: a candidate that a majority refuses becomes a follower of the same term", () => {
  const solo = new Solo();
  solo.campaign();
  solo.receive(n2, { type: "pre-vote-response", term: term(1), granted: true });
  for (const voter of [n2, n3]) solo.receive(voter, { type: "vote-response", term: term(1), granted: false });
  assert.deepEqual([solo.core.status().role, solo.term], ["follower", 1]);
});

test("Raft: a node votes for one candidate a term, and for the same one again (§5.2)", () => {
  const solo = new Solo({ terms: [1] });
  const first = solo.receive(n2, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(first, "vote-response")).granted, true);
  assert.deepEqual(first.hardState, { term: 2, votedFor: n2 });
  const other = solo.receive(n3, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(other, "vote-response")).granted, false);
  const again = solo.receive(n2, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(again, "vote-response")).granted, true);
});

test("Raft: a vote leaves only after it is synced", () => {
  const effects = new Solo().receive(n2, voteRequest({ term: 1, last: at(0, 0) }));
  assert.equal(effects.messages.length, 0);
  assert.equal(only(effects.messagesAfterSync).message.type, "vote-response");
});

test("Raft: a vote given before a restart holds after it", () => {
  const solo = new Solo({ hardState: { term: term(2), votedFor: n2 } });
  const answer = solo.receive(n3, voteRequest({ term: 2, last: at(0, 0) }));
  assert.equal(only(messagesOf(answer, "vote-response")).granted, false);
});

test("Raft: a candidate with a shorter log, or an older last term, gets no vote and no pre-vote (§5.4.1)", () => {
  const cases = [
    { last: at(2, 2), granted: false },
    { last: at(9, 1), granted: false },
    { last: at(3, 2), granted: true },
    { last: at(4, 2), granted: true },
    { last: at(1, 3), granted: true },
  ];
  for (const { last, granted } of cases) {
    const vote = new Solo({ terms: [1, 1, 2] }).receive(n2, voteRequest({ term: 5, last }));
    assert.equal(only(messagesOf(vote, "vote-response")).granted, granted, `vote for ${last.index}:${last.term}`);
    const preVote = new Solo({ terms: [1, 1, 2] }).receive(n2, { type: "pre-vote-request", term: term(5), last });
    assert.equal(only(messagesOf(preVote, "pre-vote-response")).granted, granted);
  }
});

test("Raft: a candidate or a leader that sees a higher term becomes a follower (§5.1)", () => {
  const candidate = new Solo();
  candidate.campaign();
  candidate.receive(n2, { type: "pre-vote-response", term: term(1), granted: true });
  candidate.receive(n2, { type: "vote-response", term: term(7), granted: false });
  assert.deepEqual([candidate.core.status().role, candidate.term], ["follower", 7]);
  const leader = new Solo();
  leader.lead(n2);
  const deposed = leader.receive(n3, appendRequest({ term: 8 }));
  assert.deepEqual(deposed.leadership, { role: "follower", term: 8, leader: n3 });
});

test("Raft: a candidate that hears the leader of its term follows it (§5.2)", () => {
  const solo = new Solo();
  solo.campaign();
  solo.receive(n2, { type: "pre-vote-response", term: term(1), granted: true });
  solo.receive(n3, heartbeat({ term: 1 }));
  assert.deepEqual(solo.core.status().leader, n3);
  assert.equal(solo.core.status().role, "follower");
});

test("Raft: requests of an older term are refused with the current one (§5.1)", () => {
  const solo = new Solo({ terms: [1, 5] });
  for (const request of [
    appendRequest({ term: 3 }),
    heartbeat({ term: 3 }),
    { type: "install-snapshot-request", term: term(3), snapshot: at(9, 3) } as const,
    voteRequest({ term: 3, last: at(9, 3) }),
  ]) {
    const effects = solo.receive(n2, request);
    assert.equal(only([...effects.messages, ...effects.messagesAfterSync]).message.term, 5, request.type);
    assert.equal(effects.append.length, 0);
    assert.equal(effects.snapshotNeeded, undefined);
  }
  assert.equal(solo.core.status().leader, undefined);
});

test("Raft: while a live leader is known, votes are refused without a change of term, and pre-votes too (§6)", () => {
  const solo = new Solo({ terms: [1] });
  solo.receive(n2, heartbeat({ term: 1 }));
  solo.passMs(electionTimeoutMs - 1);
  assert.equal(messagesOf(solo.receive(n3, voteRequest({ term: 2, last: at(1, 1) })), "vote-response").length, 0);
  assert.equal(solo.term, 1);
  const preVote = solo.receive(n3, { type: "pre-vote-request", term: term(2), last: at(1, 1) });
  assert.equal(only(messagesOf(preVote, "pre-vote-response")).granted, false);
  solo.passMs(1);
  const later = solo.receive(n3, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(later, "vote-response")).granted, true);
});

test("Raft: a vote asked for by a transfer is granted in spite of a live leader", () => {
  const solo = new Solo({ terms: [1] });
  solo.receive(n2, heartbeat({ term: 1 }));
  const answer = solo.receive(n3, voteRequest({ term: 2, last: at(1, 1), transfer: true }));
  assert.equal(only(messagesOf(answer, "vote-response")).granted, true);
});

test("Raft: a pre-vote request never changes the term of who receives it", () => {
  const solo = new Solo({ terms: [1] });
  const effects = solo.receive(n2, { type: "pre-vote-request", term: term(40), last: at(1, 1) });
  assert.equal(effects.hardState, undefined);
  assert.equal(solo.term, 1);
});

test("Raft: a single voter elects itself at once, and announces nothing before its own sync", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n1], learners: [n2] }) });
  assert.equal(solo.core.status().role, "leader");
  assert.equal(solo.core.status().commitIndex, 1);
  for (const effects of solo.seen)
    assert.ok(effects.messages.every(({ message }) => message.type !== "append-request"));
});

test("Raft: a learner never stands for election and never counts in one", () => {
  const learner = new Solo({ id: n4, configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  for (let ticks = 0; ticks < 5; ticks += 1) assert.equal(learner.tick().messages.length, 0);
  const candidate = new Solo({ configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4, n5] }) });
  candidate.campaign();
  for (const other of [n4, n5]) candidate.receive(other, { type: "pre-vote-response", term: term(1), granted: true });
  assert.equal(candidate.core.status().role, "pre-candidate");
});

test("Raft: a joint configuration elects only by both majorities (§6)", () => {
  const configuration = configurationOf({ voters: [n1, n2, n3], outgoing: [n1, n4, n5] });
  const solo = new Solo({ configuration });
  assert.equal(messagesOf(solo.campaign(), "pre-vote-request").length, 4);
  solo.receive(n2, { type: "pre-vote-response", term: term(1), granted: true });
  assert.equal(solo.core.status().role, "pre-candidate");
  solo.receive(n4, { type: "pre-vote-response", term: term(1), granted: true });
  assert.equal(solo.core.status().role, "candidate");
  for (const voter of [n4, n5]) solo.receive(voter, { type: "vote-response", term: term(1), granted: true });
  assert.equal(solo.core.status().role, "candidate");
  solo.receive(n2, { type: "vote-response", term: term(1), granted: true });
  assert.equal(solo.core.status().role, "leader");
});

test("Raft: a group elects exactly one leader, and everybody follows it", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = new Cluster({ voters: 5, seed });
    cluster.runUntil(() => cluster.leader !== undefined, 10 * electionTimeoutMs);
    cluster.run(100);
    const leaders = new Set(cluster.running.map(({ alive }) => alive.status().leader));
    assert.deepEqual([...leaders], [cluster.leader?.id]);
  }
});

test("Raft: after a split vote the group elects one leader in a later term (pre-vote with split vote)", () => {
  const cluster = new Cluster();
  cluster.run(1);
  cluster.crash(n1);
  // Each sees the other grant its pre-vote before either stands, so each votes for itself.
  cluster.nowMs = 1000;
  const both = [n2, n3] as const;
  for (const id of both) cluster.step(id, { type: "tick" });
  const granted = { type: "pre-vote-response", term: term(1), granted: true } as const;
  for (const id of both) cluster.step(id, { type: "message", from: id === n2 ? n3 : n2, message: granted });
  cluster.settle();
  assert.deepEqual(
    both.map((id) => cluster.at(id).alive.status().role),
    ["candidate", "candidate"],
  );
  cluster.runUntil(() => cluster.leader !== undefined, 10 * electionTimeoutMs);
  assert.ok((cluster.leader?.alive.status().term ?? 0) > 1);
});

test("Raft: a node that returns from a partition does not raise the term (PreVote)", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n3);
  cluster.run(20 * electionTimeoutMs);
  assert.equal(cluster.at(n3).alive.status().term, 1);
  cluster.heal();
  cluster.run(2 * electionTimeoutMs);
  assert.deepEqual(
    [...cluster.nodes.keys()].map((id) => cluster.at(id).alive.status().term),
    [1, 1, 1],
  );
  assert.equal(cluster.at(n3).alive.status().leader, n1);
});

test("Raft: a stuck candidate of a higher term gets a leader it listens to", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n3);
  // A transfer that went wrong left n3 a candidate of term 2, which n1's heartbeats of term 1 cannot reach.
  cluster.step(n3, { type: "message", from: n1, message: { type: "timeout-now", term: term(1) } });
  cluster.settle();
  assert.equal(cluster.at(n3).alive.status().term, 2);
  cluster.heal();
  cluster.runUntil(
    () => new Set(cluster.running.map(({ alive }) => alive.status().leader)).size === 1 && cluster.leader !== undefined,
    10 * electionTimeoutMs,
  );
  assert.ok((cluster.leader?.alive.status().term ?? 0) >= 2);
});

test("Raft: a pre-candidate that fell behind in terms catches up by a refusal, and the group elects", () => {
  const ahead = new Solo({ term: 9 });
  const answer = only(
    messagesOf(ahead.receive(n2, { type: "pre-vote-request", term: term(3), last: at(9, 9) }), "pre-vote-response"),
  );
  assert.deepEqual([answer.granted, answer.term], [false, 9]);
  const behind = new Solo({ id: n2, term: 2 });
  behind.campaign();
  behind.receive(n1, answer);
  assert.deepEqual([behind.core.status().role, behind.term], ["follower", 9]);
});

test("Raft: a leader that hears no quorum for an election timeout steps down and falls silent (CheckQuorum)", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n1);
  cluster.run(electionTimeoutMs + 60);
  assert.equal(cluster.at(n1).alive.status().role === "leader", false);
  const before = cluster.sent.length;
  cluster.propose(n1, "lost");
  cluster.step(n1, { type: "message", from: n2, message: { type: "heartbeat-response", term: term(1), round: 0 } });
  assert.ok(
    cluster.sent.slice(before).every(({ from, message }) => from !== n1 || message.type.startsWith("pre-vote")),
  );
});

test("Raft: a leader that hears a quorum stays, and learners are no quorum (CheckQuorum)", () => {
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

test("Raft: the majority side of a partition supersedes the leader it lost, which follows on return", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.cut(n1);
  cluster.runUntil(() => cluster.leader !== undefined && cluster.leader.id !== n1, 5 * electionTimeoutMs);
  cluster.heal();
  cluster.run(electionTimeoutMs);
  assert.equal(cluster.at(n1).alive.status().leader, cluster.leader?.id);
});

test("Raft: a node that was removed and does not know it does not disturb the others (§6)", () => {
  const cluster = new Cluster({ voters: 3, configuration: configurationOf({ voters: [n1, n2, n3], learners: [n4] }) });
  cluster.elect(n1);
  for (const request of [
    { type: "pre-vote-request", term: term(2), last: at(99, 99) } as const,
    voteRequest({ term: 50, last: at(99, 99) }),
  ])
    for (const to of [n1, n2, n3]) cluster.deliver({ from: n5, to, message: request });
  cluster.settle();
  assert.deepEqual(
    [n1, n2, n3].map((id) => cluster.at(id).alive.status().term),
    [1, 1, 1],
  );
  assert.equal(cluster.leader?.id, n1);
});

test("Raft: followers whose connection to the leader is refused elect another within a fifth of a timeout", () => {
  const took: number[] = [];
  for (let seed = 1; seed <= 40; seed += 1) {
    const cluster = new Cluster({ seed });
    cluster.elect(n1);
    cluster.run(70);
    cluster.crash(n1);
    cluster.step(n2, { type: "peer-refused", peer: n1 });
    const startMs = cluster.nowMs;
    // The other one notices a little later, and refuses the first pre-vote.
    cluster.run(30);
    cluster.step(n3, { type: "peer-refused", peer: n1 });
    cluster.runUntil(() => cluster.leader !== undefined, 4 * electionTimeoutMs);
    took.push(cluster.nowMs - startMs);
  }
  took.sort((a, b) => a - b);
  assert.ok((took[20] ?? Number.NaN) <= electionTimeoutMs / 5, `median ${took[20]} ms`);
  assert.ok((took.at(-1) ?? Number.NaN) <= electionTimeoutMs, `worst ${took.at(-1)} ms`);
});

test("Raft: one refused connection does not depose a leader that the others hear", () => {
  const cluster = new Cluster();
  cluster.elect(n1);
  cluster.step(n2, { type: "peer-refused", peer: n1 });
  cluster.run(3 * electionTimeoutMs);
  assert.deepEqual([cluster.leader?.id, cluster.leader?.alive.status().term], [n1, 1]);
  assert.equal(cluster.at(n2).alive.status().leader, n1);
});

test("Raft: a refused connection ends the lease here, so that a candidate gets its vote at once", () => {
  const solo = new Solo({ terms: [1] });
  solo.receive(n2, heartbeat({ term: 1 }));
  const refused = solo.step({ type: "peer-refused", peer: n2 });
  assert.deepEqual(refused.leadership, { role: "follower", term: 1, leader: undefined });
  const answer = solo.receive(n3, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(answer, "vote-response")).granted, true);
});

test("Raft: a pre-vote or vote that fails while the leader's process is gone is tried again within T/8, for two timeouts", () => {
  const solo = new Solo({ terms: [1], electionTimeoutMs });
  solo.receive(n2, heartbeat({ term: 1 }));
  solo.step({ type: "peer-refused", peer: n2 });
  assert.ok(solo.core.deadlineMs - solo.nowMs <= electionTimeoutMs / 10);
  for (let attempt = 0; attempt < 5; attempt += 1) {
    assert.equal(messagesOf(solo.tick(), "pre-vote-request").length, 2);
    solo.receive(n3, { type: "pre-vote-response", term: term(1), granted: false });
    assert.ok(solo.core.deadlineMs - solo.nowMs <= electionTimeoutMs / 8);
  }
  solo.receive(n3, { type: "pre-vote-response", term: term(2), granted: true });
  assert.equal(solo.core.status().role, "candidate");
  solo.receive(n3, { type: "vote-response", term: term(2), granted: false });
  assert.ok(solo.core.deadlineMs - solo.nowMs <= electionTimeoutMs / 8);
  solo.passMs(2 * electionTimeoutMs);
  solo.tick();
  assert.ok(solo.core.deadlineMs - solo.nowMs >= electionTimeoutMs);
});

test("Raft: a refused connection to somebody else changes nothing", () => {
  const solo = new Solo({ terms: [1] });
  solo.receive(n2, heartbeat({ term: 1 }));
  const before = solo.core.deadlineMs;
  assert.equal(solo.step({ type: "peer-refused", peer: n3 }).leadership, undefined);
  assert.equal(solo.core.deadlineMs, before);
});

test("Raft: a leader that is only in the outgoing majority leads while the configuration is joint (§6)", () => {
  const solo = new Solo({ configuration: configurationOf({ voters: [n2, n3], outgoing: [n1, n2, n3] }) });
  solo.lead(n2, n3);
  solo.match(n2, 1);
  assert.equal(solo.core.status().commitIndex, 0);
  solo.match(n3, 1);
  assert.deepEqual([solo.core.status().role, solo.core.status().commitIndex], ["leader", 1]);
});
