import assert from "node:assert/strict";
import { test } from "node:test";
import { type LogIndex, logIndex, term } from "../../../node/base/ids.ts";
import type { Entry } from "../../../node/raft/types.ts";
import { Cluster } from "../cluster.ts";
import { ledCluster } from "../led.ts";
import {
  appendRequest,
  at,
  electionTimeoutMs,
  entriesOf,
  entry,
  heartbeat,
  heartbeatMs,
  messagesOf,
  n1,
  n2,
  n3,
  only,
  Solo,
  seeded,
} from "../support.ts";

// Raft §5.3: log replication.

/** n1 leads the term after its log's last, and has synced the first entry of it. */
function leaderOf(terms: readonly number[], setup: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo({ terms, ...setup });
  solo.lead(n2);
  return solo;
}

/** Several nodes with logs of these terms, n1 first, that all have seen term 7. */
function clusterOf(logs: readonly (readonly number[])[]): Cluster {
  const cluster = new Cluster({ voters: logs.length, logs: logs.map((terms) => entriesOf(terms)) });
  for (const each of cluster.nodes.values()) {
    each.disk.hardState = { term: term(7), votedFor: undefined };
    each.start(0);
  }
  return cluster;
}

test("Raft §5.3: a leader appends a command to its log, and sends it to all others at once", () => {
  const solo = leaderOf([]);
  for (const follower of [n2, n3]) solo.match(follower, 1);
  const effects = solo.propose("a", "b", "c");
  assert.deepEqual(
    effects.append.map(({ index, term: ofTerm, kind }) => [index, ofTerm, kind]),
    [
      [2, 1, "command"],
      [3, 1, "command"],
      [4, 1, "command"],
    ],
  );
  for (const to of [n2, n3]) assert.deepEqual(only(messagesOf(effects, "append-request", to)).entries, effects.append);
});

test("Raft §5.3: an entry is committed once a majority holds it, the leader's own disk among them", () => {
  const solo = leaderOf([]);
  solo.match(n2, 1);
  assert.equal(solo.core.status().commitIndex, 1);
  solo.sync = false;
  solo.propose("a");
  solo.match(n2, 2);
  assert.equal(solo.core.status().commitIndex, 1, "one of three");
  const synced = solo.step({ type: "log-persisted", last: at(2, 1) });
  assert.deepEqual(
    synced.committed.map(({ index }) => index),
    [2],
  );
});

test("Raft §5.3: with an entry all before it is committed, those of earlier leaders too, and applied in order", () => {
  const solo = leaderOf([1, 1, 3], { term: 3 });
  const { committed } = solo.match(n2, 4);
  assert.deepEqual(
    committed.map(({ index, term: ofTerm }) => [index, ofTerm]),
    [
      [1, 1],
      [2, 1],
      [3, 3],
      [4, 4],
    ],
  );
});

test("Raft §5.3: the leader tells the highest committed index with what it sends, and followers apply as far", () => {
  const solo = leaderOf([]);
  solo.match(n2, 1);
  assert.equal(only(messagesOf(solo.propose("a"), "append-request", n2)).commitIndex, 1);
  const follower = new Solo({ id: n2 });
  const request = appendRequest({ term: 1, entries: entriesOf([1, 1, 1]), commit: 2 });
  assert.deepEqual(
    follower.receive(n1, request).committed.map(({ index }) => index),
    [1, 2],
  );
  assert.deepEqual(
    follower.receive(n1, heartbeat({ term: 1, commit: 3 })).committed.map(({ index }) => index),
    [3],
  );
});

test("Raft §5.3: a follower commits no further than the leader did, and than it is known to agree", () => {
  const behind = new Solo();
  behind.receive(n2, appendRequest({ term: 1, entries: entriesOf([1, 1, 1]), commit: 2 }));
  assert.equal(behind.core.status().commitIndex, 2);
  const ahead = new Solo({ terms: [1, 1, 1] });
  // The rest of its log may not be the leader's.
  ahead.receive(n2, appendRequest({ term: 2, previous: at(1, 1), commit: 3 }));
  assert.equal(ahead.core.status().commitIndex, 1);
});

test("Raft §5.3: the leader tries again, for ever, until a follower that was away stores everything", () => {
  const cluster = ledCluster();
  cluster.crash(n3);
  cluster.propose(n1, "a", "b");
  cluster.run(20 * electionTimeoutMs);
  assert.equal(cluster.at(n1).alive.status().commitIndex, 3, "answered long ago");
  cluster.restart(n3);
  cluster.run(electionTimeoutMs);
  assert.deepEqual(cluster.logOf(n3), cluster.logOf(n1));
  assert.equal(cluster.at(n3).alive.status().applied, 3);
});

test("Raft §5.3: an append whose predecessor is missing or differs is refused (consistency check)", () => {
  for (const [previous, isHeld] of [
    [at(3, 2), true],
    [at(2, 1), true],
    [at(0, 0), true],
    [at(9, 2), false],
    [at(4, 2), false],
    [at(3, 1), false],
    [at(2, 2), false],
  ] as const) {
    const solo = new Solo({ terms: [1, 1, 2], term: 2 });
    const answer = solo.receive(n2, appendRequest({ term: 2, previous, entries: [] }));
    const { result } = only(messagesOf(answer, "append-response"));
    assert.equal(result.type, isHeld ? "matched" : "rejected", `${previous.index}@${previous.term}`);
    assert.deepEqual([solo.core.status().last, answer.append], [at(3, 2), []]);
  }
});

test("Raft §5.3: an entry that conflicts with the leader's is replaced, with all that follow it", () => {
  const solo = new Solo({ terms: [1, 1, 2, 2] });
  const entries = [entry(2, 1), entry(3, 3)];
  const effects = solo.receive(n2, appendRequest({ term: 3, previous: at(1, 1), entries }));
  assert.deepEqual(effects.append, [entry(3, 3)]);
  assert.deepEqual(solo.core.status().last, at(3, 3));
});

test("Raft §5.3: what is there already is not touched by a late or repeated append", () => {
  const solo = new Solo();
  const first = appendRequest({ term: 1, entries: entriesOf([1, 1]) });
  solo.receive(n2, first);
  solo.receive(n2, appendRequest({ term: 1, previous: at(2, 1), entries: entriesOf([1, 1, 1], 3) }));
  const late = solo.receive(n2, first);
  assert.equal(late.append.length, 0);
  assert.equal(solo.core.status().last.index, 5);
  assert.deepEqual(only(messagesOf(late, "append-response")).result, { type: "matched", matchIndex: 2 });
});

test("Raft §5.3: a new leader begins at the end of its own log, and goes back until a follower agrees", () => {
  const solo = new Solo({ terms: [1, 1, 2] });
  const led = solo.lead(n2);
  assert.deepEqual(only(messagesOf(led, "append-request", n3)).previous, at(3, 2));
  const rejected = (previousIndex: LogIndex, hint: ReturnType<typeof at>) =>
    ({ type: "append-response", term: solo.term, result: { type: "rejected", previousIndex, hint } }) as const;
  const second = only(messagesOf(solo.receive(n3, rejected(logIndex(3), at(2, 1))), "append-request", n3));
  assert.deepEqual(second.previous, at(2, 1));
  const third = only(messagesOf(solo.receive(n3, rejected(logIndex(2), at(0, 0))), "append-request", n3));
  assert.deepEqual([third.previous, third.entries.length], [at(0, 0), 4]);
  assert.equal(solo.core.status().last.index, 4, "its own log stays as it is");
});

test("Raft §5.3: logs that differ in sixty entries of two terms agree after three refusals (fast back-up)", () => {
  const repeated = (of: number, times: number) => Array.from({ length: times }, () => of);
  for (const [leader, follower] of [
    // Whole terms are skipped on both sides: here the leader's knowledge is enough, there it takes the follower's.
    [
      [1, 1, 1, ...repeated(4, 30), ...repeated(6, 30)],
      [1, 1, 1, ...repeated(3, 35), ...repeated(5, 35)],
    ],
    [
      [1, 1, 1, ...repeated(2, 30), ...repeated(4, 30)],
      [1, 1, 1, ...repeated(3, 70)],
    ],
  ] as const) {
    const cluster = clusterOf([leader, follower, leader]);
    cluster.elect(n1);
    cluster.run(2 * heartbeatMs);
    assert.deepEqual(cluster.logOf(n2), cluster.logOf(n1));
    const refusals = cluster.sent.filter(
      ({ from, message }) => from === n2 && message.type === "append-response" && message.result.type === "rejected",
    );
    assert.ok(refusals.length <= 3, `${refusals.length} refusals`);
  }
});

const figure7 = [
  { name: "a", terms: [1, 1, 1, 4, 4, 5, 5, 6, 6] },
  { name: "b", terms: [1, 1, 1, 4] },
  { name: "c", terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6] },
  { name: "d", terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7] },
  { name: "e", terms: [1, 1, 1, 4, 4, 4, 4] },
  { name: "f", terms: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3] },
];
test("Raft §5.3: all followers of figure 7 converge to the leader's log", () => {
  for (const { name, terms } of figure7) {
    const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    const cluster = clusterOf([leader, terms, leader]);
    cluster.elect(n1);
    cluster.run(2 * heartbeatMs);
    assert.deepEqual(cluster.logOf(n2), cluster.logOf(n1), `follower (${name})`);
    assert.equal(cluster.at(n2).alive.status().commitIndex, 11, `follower (${name})`);
  }
});

test("Raft §5.3: a leader never overwrites or removes entries of its own log (Leader Append-Only)", () => {
  const solo = leaderOf([1, 1, 2], { term: 4 });
  const terms = [1, 1, 2, 5];
  const answers = [
    { type: "matched", matchIndex: logIndex(1) },
    { type: "rejected", previousIndex: logIndex(3), hint: at(1, 1) },
    { type: "rejected", previousIndex: logIndex(0), hint: at(0, 0) },
    { type: "rejected", previousIndex: logIndex(99), hint: at(9, 3) },
  ] as const;
  for (const [place, result] of answers.entries())
    for (const from of [n2, n3]) {
      solo.receive(from, { type: "append-response", term: solo.term, result });
      const { append } = solo.propose(`${place}`);
      terms.push(5);
      assert.deepEqual(
        append.map(({ index }) => index),
        [terms.length],
      );
    }
  assert.equal(solo.core.status().role, "leader");
  assert.deepEqual(solo.core.status().last, at(terms.length, 5));
  const other = appendRequest({ term: 5, previous: at(1, 1), entries: [entry(2, 5)] });
  assert.throws(() => solo.receive(n3, other), { name: "InvariantError" }, "two leaders in a term");
});

/** Logs of leaders in successive terms: each goes on from some prefix of an earlier one. */
function leaderLogs(random: () => number): Entry[][] {
  const logs: Entry[][] = [[]];
  for (let ofTerm = 1; ofTerm <= 6; ofTerm += 1) {
    const before = logs[Math.floor(random() * logs.length)] ?? [];
    const kept = before.slice(0, Math.floor(random() * (before.length + 1)));
    const added = Array.from({ length: 1 + Math.floor(random() * 5) }, (_, place) =>
      entry(kept.length + place + 1, ofTerm),
    );
    logs.push([...kept, ...added]);
  }
  return logs;
}

test("Raft §5.3: where two logs have an entry of one index and term, they are the same up to there (Log Matching)", () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seeded(seed);
    const logs = leaderLogs(random);
    const solo = new Solo();
    const held: Entry[] = [];
    for (let step = 0; step < 40; step += 1) {
      // Any part of any leader's log, at any time, as far as the term still allows.
      const ofTerm = Math.max(1, Math.min(6, Math.floor(step / 8) + Math.floor(random() * 2)));
      const log = logs[ofTerm] ?? [];
      const from = Math.floor(random() * (log.length + 1));
      const entries = log.slice(from, from + Math.floor(random() * 4));
      const previous = log[from - 1] ?? at(0, 0);
      const effects = solo.receive(
        n2,
        appendRequest({ term: ofTerm, previous: at(previous.index, previous.term), entries }),
      );
      const [first] = effects.append;
      if (first !== undefined) held.splice(first.index - 1, Number.POSITIVE_INFINITY, ...effects.append);
      const agreed = held.findLastIndex((each, place) => log[place]?.term === each.term);
      for (const [place, each] of log.slice(0, agreed + 1).entries())
        assert.deepEqual(
          held[place],
          each,
          `seed ${seed}, step ${step}: differs at ${place + 1}, agrees at ${agreed + 1}`,
        );
    }
  }
});

test("Raft §5.3: a slow follower holds up nobody: the majority commits without it", () => {
  const cluster = ledCluster({ voters: 5 });
  for (const slow of [n2, n3]) cluster.heldDisks.add(slow);
  cluster.propose(n1, "a");
  cluster.settle();
  assert.equal(cluster.at(n1).alive.status().commitIndex, 2);
  for (const slow of [n2, n3]) assert.equal(cluster.at(slow).alive.status().applied, 1);
});
