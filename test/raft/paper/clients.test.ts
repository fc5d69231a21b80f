import assert from "node:assert/strict";
import { test } from "node:test";
import { ledCluster } from "../led.ts";
import { at, electionTimeoutMs, heartbeat, messagesOf, n1, n2, n3, only, Solo } from "../support.ts";

// Raft §8: what clients may rely on. That a retry takes effect once is the catalog's part: test/catalog/.

test("Raft §8: a new leader appends an entry without effect, and sends it to everybody", () => {
  const solo = new Solo({ terms: [1, 1] });
  const led = solo.lead(n2);
  const noop = only(led.append);
  assert.deepEqual([noop.index, noop.term, noop.kind, noop.data.byteLength], [3, 2, "noop", 0]);
  for (const to of [n2, n3]) {
    const request = only(messagesOf(led, "append-request", to));
    assert.deepEqual([request.previous, request.entries.length], [at(2, 1), 1]);
  }
});

test("Raft §8: so what earlier leaders committed is committed again without any proposal", () => {
  const cluster = ledCluster();
  cluster.propose(n1, "a");
  cluster.settle();
  for (const id of [n1, n2, n3]) {
    cluster.crash(id);
    // As if the catalog had been applied, and not synced.
    cluster.at(id).disk.applied = at(0, 0);
  }
  for (const id of [n1, n2, n3]) cluster.restart(id);
  cluster.runUntil(() => cluster.running.every(({ alive }) => alive.status().applied === 3), 10 * electionTimeoutMs);
});

test("Raft §8: whoever does not lead refuses proposals, and knows who does", () => {
  const solo = new Solo({ terms: [1] });
  assert.equal(solo.propose("a").refusedProposals, "not-leader");
  const heard = solo.receive(n2, heartbeat({ term: 1 }));
  assert.deepEqual(heard.leadership, { role: "follower", term: 1, leader: n2 });
  const refused = solo.propose("a");
  assert.deepEqual([refused.refusedProposals, refused.append.length], ["not-leader", 0]);
});
