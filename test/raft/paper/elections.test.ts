import assert from "node:assert/strict";
import { test } from "node:test";
import { term } from "../../../node/base/ids.ts";
import { Cluster } from "../cluster.ts";
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
  node,
  only,
  Solo,
  seeded,
  voteRequest,
} from "../support.ts";

// Raft §5.2: leader election. Pre-votes come first everywhere (see pre-vote.test.ts), and change nothing here.

function candidateOf(voters: number): Solo {
  const ids = Array.from({ length: voters }, (_, place) => node(place + 1));
  const solo = new Solo({ configuration: configurationOf({ voters: ids }) });
  solo.campaign();
  for (const id of ids.slice(1)) solo.receive(id, { type: "pre-vote-response", term: term(1), granted: true });
  return solo;
}

test("Raft §5.2: a node starts as a follower that knows no leader", () => {
  const { role, leader, term: ofTerm } = new Solo({ term: 3 }).core.status();
  assert.deepEqual({ role, leader, ofTerm }, { role: "follower", leader: undefined, ofTerm: 3 });
});

test("Raft §5.2: a follower remains one as long as it hears from a leader", () => {
  const solo = new Solo({ terms: [1] });
  for (let beat = 0; beat < 30; beat += 1) {
    solo.passMs(solo.core.deadlineMs - solo.nowMs - 1);
    solo.step({ type: "tick" });
    solo.receive(n2, beat % 2 === 0 ? heartbeat({ term: 1 }) : appendRequest({ term: 1, previous: at(1, 1) }));
    assert.ok(solo.core.deadlineMs >= solo.nowMs + electionTimeoutMs);
  }
  assert.deepEqual([solo.core.status().role, solo.term], ["follower", 1]);
});

test("Raft §5.2: granting a vote puts the own election off, refusing one does not", () => {
  const solo = new Solo({ terms: [1] });
  solo.passMs(electionTimeoutMs - 1);
  const deadlineMs = solo.core.deadlineMs;
  solo.receive(n2, voteRequest({ term: 1, last: at(0, 0) }));
  assert.equal(solo.core.deadlineMs, deadlineMs);
  solo.receive(n2, voteRequest({ term: 1, last: at(1, 1) }));
  assert.ok(solo.core.deadlineMs >= solo.nowMs + electionTimeoutMs);
});

test("Raft §5.2: whoever begins an election takes the next term, votes for itself and asks all others", () => {
  const solo = new Solo({ terms: [1, 4] });
  solo.campaign();
  const stood = solo.receive(n2, { type: "pre-vote-response", term: term(5), granted: true });
  assert.deepEqual(stood.hardState, { term: 5, votedFor: n1 });
  assert.deepEqual(stood.leadership, { role: "candidate", term: 5, leader: undefined });
  for (const to of [n2, n3]) {
    const { term: ofTerm, last } = only(messagesOf(stood, "vote-request", to));
    assert.deepEqual({ ofTerm, last }, { ofTerm: 5, last: at(2, 4) });
  }
});

test("Raft §5.2: a candidate wins with the votes of a majority of the full group, each counted once", () => {
  for (const [voters, needed] of [
    [3, 1],
    [4, 2],
    [5, 2],
    [7, 3],
  ] as const) {
    const solo = candidateOf(voters);
    for (let vote = 1; vote <= needed; vote += 1) {
      assert.equal(solo.core.status().role, "candidate", `${voters} voters, ${vote} votes`);
      for (let copy = 0; copy < 3; copy += 1)
        solo.receive(node(vote + 1), { type: "vote-response", term: term(1), granted: true });
    }
    assert.equal(solo.core.status().role, "leader", `${voters} voters, ${needed + 1} votes`);
  }
});

test("Raft §5.2: a node votes for one candidate a term, first come first served, and for the same one again", () => {
  const solo = new Solo({ terms: [1] });
  const first = solo.receive(n2, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(first, "vote-response")).granted, true);
  assert.deepEqual(first.hardState, { term: 2, votedFor: n2 });
  const other = solo.receive(n3, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(other, "vote-response")).granted, false);
  const again = solo.receive(n2, voteRequest({ term: 2, last: at(1, 1) }));
  assert.equal(only(messagesOf(again, "vote-response")).granted, true);
});

test("Raft §5.2: a candidate votes for nobody else in its term", () => {
  const solo = candidateOf(3);
  const answer = solo.receive(n3, voteRequest({ term: 1, last: at(9, 0) }));
  assert.equal(only(messagesOf(answer, "vote-response")).granted, false);
});

test("Raft §5.2: a vote holds across a restart", () => {
  const cluster = new Cluster();
  cluster.run(1);
  cluster.step(n1, { type: "message", from: n2, message: voteRequest({ term: 1, last: at(0, 0) }) });
  cluster.settle();
  cluster.crash(n1);
  cluster.restart(n1);
  cluster.step(n1, { type: "message", from: n3, message: voteRequest({ term: 1, last: at(0, 0) }) });
  cluster.settle();
  const granted = cluster.sent.flatMap(({ from, to, message }) =>
    from === n1 && message.type === "vote-response" && message.granted ? [to] : [],
  );
  assert.deepEqual(granted, [n2]);
});

test("Raft §5.2: a winner tells everybody at once, and with each heartbeat, so that nobody else stands", () => {
  const solo = new Solo();
  const led = solo.lead(n2);
  for (const to of [n2, n3]) assert.equal(messagesOf(led, "append-request", to).length, 1);
  const cluster = new Cluster({ voters: 5 });
  cluster.elect(n1);
  cluster.run(20 * electionTimeoutMs);
  assert.deepEqual(
    cluster.running.map(({ alive }) => [alive.status().leader, alive.status().term]),
    Array.from({ length: 5 }, () => [n1, 1]),
  );
});

test("Raft §5.2: a candidate that hears the leader of its term, or of a later one, follows it", () => {
  for (const ofTerm of [1, 4])
    for (const message of [heartbeat({ term: ofTerm }), appendRequest({ term: ofTerm })]) {
      const solo = candidateOf(3);
      solo.receive(n3, message);
      const { role, leader } = solo.core.status();
      assert.deepEqual([role, leader, solo.term], ["follower", n3, ofTerm], `${message.type} of term ${ofTerm}`);
    }
});

test("Raft §5.2: a candidate rejects a leader of an older term, and goes on as candidate", () => {
  const solo = new Solo({ term: 4 });
  solo.campaign();
  solo.receive(n2, { type: "pre-vote-response", term: term(5), granted: true });
  const answer = only(messagesOf(solo.receive(n3, appendRequest({ term: 4 })), "append-response"));
  assert.deepEqual([answer.term, answer.result.type], [5, "rejected"]);
  assert.equal(solo.core.status().role, "candidate");
  solo.receive(n2, { type: "vote-response", term: term(5), granted: true });
  assert.equal(solo.core.status().role, "leader");
});

test("Raft §5.2: when votes are split nobody wins, and the next election is in a new term", () => {
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

test("Raft §5.2: election timeouts are drawn from [T, 2T), anew for each election", () => {
  const drawn: number[] = [];
  const solo = new Solo({ random: seeded(7) });
  for (let election = 0; election < 200; election += 1) {
    const delayMs = solo.core.deadlineMs - solo.nowMs;
    assert.ok(delayMs >= electionTimeoutMs && delayMs < 2 * electionTimeoutMs, `${delayMs} ms`);
    drawn.push(delayMs);
    assert.equal(messagesOf(solo.tick(), "pre-vote-request").length, 2);
  }
  assert.ok(new Set(drawn).size > 190);
  assert.ok(Math.min(...drawn) < 1.1 * electionTimeoutMs && Math.max(...drawn) > 1.9 * electionTimeoutMs);
});

test("Raft §5.2: so split votes are rare, and soon over", () => {
  let terms = 0;
  for (let seed = 1; seed <= 100; seed += 1) {
    const cluster = new Cluster({ voters: 5, seed });
    const tookMs = cluster.runUntil(() => cluster.leader !== undefined, 10 * electionTimeoutMs);
    assert.ok(tookMs < 3 * electionTimeoutMs, `seed ${seed}: ${tookMs} ms`);
    terms += cluster.leader?.alive.status().term ?? 0;
  }
  assert.ok(terms < 110, `${terms} terms for 100 elections`);
});

test("Raft §5.2: at most one leader is elected in a term (Election Safety)", () => {
  const leaders = new Map<string, string>();
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seeded(seed);
    const cluster = new Cluster({ voters: 5, seed });
    for (let step = 0; step < 150; step += 1) {
      // Anybody may lose patience at any time; messages arrive in any order, twice, or never.
      const impatient = [n1, n2, n3, n4, n5][Math.floor(random() * 5)] ?? n1;
      if (random() < 0.1) {
        cluster.nowMs = Math.max(cluster.nowMs, cluster.at(impatient).alive.deadlineMs);
        cluster.step(impatient, { type: "tick" });
      }
      const place = Math.floor(random() * cluster.bus.length);
      const [flying] = random() < 0.2 ? cluster.bus.slice(place, place + 1) : cluster.bus.splice(place, 1);
      if (flying !== undefined && random() < 0.9) cluster.deliver(flying);
      if (random() < 0.5) cluster.at(impatient).sync();
      for (const { id, alive } of cluster.running) {
        const { role, term: ofTerm } = alive.status();
        if (role !== "leader") continue;
        const key = `seed ${seed}, term ${ofTerm}`;
        assert.equal(leaders.get(key) ?? id, id, key);
        leaders.set(key, id);
      }
    }
  }
  assert.ok(leaders.size > 100, `${leaders.size} elections`);
});
