import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, term } from "../../../node/base/ids.ts";
import type { RaftMessage } from "../../../node/raft/types.ts";
import { appendRequest, at, heartbeat, messagesOf, n1, n2, n3, only, Solo, voteRequest } from "../support.ts";

// Raft §5.1: terms are a logical clock that every message carries.

/** One message of each kind whose term is its sender's. */
function messagesOfTerm(ofTerm: number): RaftMessage[] {
  const its = term(ofTerm);
  return [
    voteRequest({ term: ofTerm, last: at(0, 0) }),
    { type: "vote-response", term: its, granted: false },
    appendRequest({ term: ofTerm }),
    { type: "append-response", term: its, result: { type: "matched", matchIndex: logIndex(0) } },
    heartbeat({ term: ofTerm }),
    { type: "heartbeat-response", term: its, round: 0 },
    { type: "install-snapshot-request", term: its, snapshot: at(9, 1) },
    { type: "read-index-request", term: its, position: 1 },
    { type: "read-index-response", term: its, position: 1, readIndex: undefined },
  ];
}

test("Raft §5.1: a larger term is adopted from whatever message it comes in, and written down with no vote", () => {
  for (const message of messagesOfTerm(7)) {
    const solo = new Solo({ hardState: { term: term(3), votedFor: n3 } });
    const { hardState } = solo.receive(n2, message);
    const vote = message.type === "vote-request" ? n2 : undefined;
    assert.deepEqual(hardState, { term: 7, votedFor: vote }, message.type);
    assert.equal(solo.term, 7);
  }
});

test("Raft §5.1: a candidate or a leader that finds its term out of date becomes a follower at once", () => {
  for (const message of messagesOfTerm(7)) {
    const candidate = new Solo();
    candidate.campaign();
    candidate.receive(n2, { type: "pre-vote-response", term: term(1), granted: true });
    candidate.receive(n2, message);
    assert.deepEqual([candidate.core.status().role, candidate.term], ["follower", 7], message.type);
    const leader = new Solo();
    leader.lead(n2);
    // A leader hears itself, so it refuses votes without a look at their term (§6).
    if (message.type === "vote-request") continue;
    assert.equal(leader.receive(n3, message).leadership?.role, "follower", message.type);
  }
});

test("Raft §5.1: a request with a stale term is rejected, and told the current one", () => {
  const solo = new Solo({ terms: [1, 5] });
  for (const request of [
    appendRequest({ term: 3 }),
    heartbeat({ term: 3 }),
    { type: "install-snapshot-request", term: term(3), snapshot: at(9, 3) } as const,
    voteRequest({ term: 3, last: at(9, 3) }),
    { type: "read-index-request", term: term(3), position: 1 } as const,
  ]) {
    const effects = solo.receive(n2, request);
    assert.equal(only([...effects.messages, ...effects.messagesAfterSync]).message.term, 5, request.type);
    assert.equal(effects.append.length, 0);
    assert.equal(effects.snapshotNeeded, undefined);
    assert.equal(effects.hardState, undefined);
  }
  assert.deepEqual([solo.core.status().leader, solo.term], [undefined, 5]);
});

test("Raft §5.1: an answer with a stale term counts for nothing", () => {
  const candidate = new Solo({ term: 4 });
  candidate.campaign();
  candidate.receive(n2, { type: "pre-vote-response", term: term(5), granted: true });
  candidate.receive(n2, { type: "vote-response", term: term(4), granted: true });
  assert.equal(candidate.core.status().role, "candidate");
  const leader = new Solo({ terms: [1], term: 1 });
  leader.lead(n2);
  const result = { type: "matched", matchIndex: logIndex(2) } as const;
  leader.receive(n2, { type: "append-response", term: term(1), result });
  assert.equal(leader.core.status().commitIndex, 0);
  leader.match(n2, 2);
  leader.step({ type: "read", position: 1 });
  const stale = leader.receive(n2, { type: "heartbeat-response", term: term(1), round: 1 });
  assert.equal(stale.confirmedReads.length, 0);
});

test("Raft §5.1: the term outlives a restart, and nothing moves it back", () => {
  const solo = new Solo({ hardState: { term: term(7), votedFor: n1 } });
  for (const message of messagesOfTerm(6)) solo.receive(n2, message);
  assert.equal(solo.term, 7);
  solo.campaign();
  solo.receive(n2, { type: "pre-vote-response", term: term(8), granted: true });
  assert.deepEqual(messagesOf(solo.seen.at(-1) ?? solo.tick(), "vote-request")[0]?.term, 8);
});
