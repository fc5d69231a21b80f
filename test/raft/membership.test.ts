import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeId } from "../../node/base/ids.ts";
import { InvariantError } from "../../node/base/invariant.ts";
import { decodeConfiguration } from "../../node/raft/configuration.ts";
import type { Configuration } from "../../node/raft/types.ts";
import type { Cluster } from "./cluster.ts";
import { ledCluster } from "./led.ts";
import {
  appendRequest,
  configurationEntry,
  configurationOf,
  electionTimeoutMs,
  heartbeatMs,
  n1,
  n2,
  n3,
  n4,
  n5,
  Solo,
} from "./support.ts";

const three = configurationOf({ voters: [n1, n2, n3] });

function led(configuration: Configuration, strangers: readonly NodeId[] = []): Cluster {
  return ledCluster({ configuration, strangers });
}

/** The configurations that the log of `id` went through, in order. */
function configurationsIn(cluster: Cluster, id: NodeId): Configuration[] {
  const entries = cluster.at(id).memory.filter(({ kind }) => kind === "configuration");
  return entries.map(({ data }) => decodeConfiguration(data));
}

test("Membership: a node becomes a learner by one entry, is brought up to date, and counts for nothing (§6)", () => {
  const cluster = led(three, [n4]);
  cluster.propose(n1, "before");
  assert.equal(cluster.change(n1, [n1, n2, n3], [n4]), undefined);
  cluster.run(heartbeatMs);
  assert.deepEqual(configurationsIn(cluster, n1), [configurationOf({ voters: [n1, n2, n3], learners: [n4] })]);
  assert.deepEqual(cluster.logOf(n4), cluster.logOf(n1));
  assert.deepEqual(cluster.configurationAt(n4), cluster.configurationAt(n1));
  cluster.cut(n2);
  cluster.cut(n3);
  cluster.propose(n1, "lost");
  cluster.run(heartbeatMs);
  assert.equal(cluster.at(n1).alive.status().commitIndex, 3, "one voter and a learner are no majority");
});

test("Membership: other voters need a joint entry first; the final one follows by itself once that is committed (§6)", () => {
  const cluster = led(configurationOf({ voters: [n1, n2, n3], learners: [n4] }));
  assert.equal(cluster.change(n1, [n1, n2, n4], [n3]), undefined);
  cluster.run(heartbeatMs);
  assert.deepEqual(configurationsIn(cluster, n1), [
    configurationOf({ voters: [n1, n2, n4], outgoing: [n1, n2, n3], learnersNext: [n3] }),
    configurationOf({ voters: [n1, n2, n4], learners: [n3] }),
  ]);
  for (const id of [n1, n2, n3, n4]) assert.deepEqual(cluster.configurationAt(id), cluster.configurationAt(n1));
});

test("Membership: only a leader changes it", () => {
  const cluster = led(three, [n4]);
  assert.equal(cluster.change(n2, [n1, n2, n3], [n4]), "not-leader");
  assert.equal(cluster.change(n4, [n1, n2, n3], [n4]), "not-leader");
});

test("Membership: what is so already is no change, in whatever order it is named", () => {
  const cluster = led(configurationOf({ voters: [n1, n2, n3], learners: [n4, n5] }));
  const before = cluster.at(n1).alive.status().last;
  assert.equal(cluster.change(n1, [n3, n1, n2], [n5, n4]), undefined);
  assert.deepEqual(cluster.at(n1).alive.status().last, before);
});

test("Membership: one change at a time: refused until the last one is committed, the final entry of a joint one too", () => {
  const cluster = led(configurationOf({ voters: [n1, n2, n3], learners: [n4] }), [n5]);
  for (const id of [n2, n3, n4]) cluster.heldDisks.add(id);
  cluster.change(n1, [n1, n2, n3, n4]);
  cluster.settle();
  assert.equal(cluster.change(n1, [n1, n2, n3, n4], [n5]), "change-under-way", "joint");
  // The joint entry commits, and the final one is appended; nothing acknowledges that one.
  cluster.filter = ({ message }) =>
    message.type !== "append-request" || message.entries.every(({ index }) => index <= 2);
  cluster.heldDisks.clear();
  cluster.settle();
  assert.deepEqual(cluster.configurationAt(n1).outgoing, []);
  assert.equal(cluster.change(n1, [n1, n2, n3, n4], [n5]), "change-under-way", "final, not committed");
  cluster.heal();
  cluster.run(3 * heartbeatMs);
  assert.equal(cluster.change(n1, [n1, n2, n3, n4], [n5]), undefined);
});

test("Membership: a leader that has committed nothing of its own term changes nothing: too early", () => {
  const solo = new Solo({ terms: [1] });
  solo.lead(n2);
  const change = { type: "change-membership", voters: [n1, n2, n3], learners: [n4] } as const;
  assert.equal(solo.step(change).refusedMembership, "too-early");
  solo.match(n2, 2);
  const effects = solo.step(change);
  assert.equal(effects.refusedMembership, undefined);
  assert.equal(effects.append[0]?.kind, "configuration");
});

test("Membership: while leadership is handed over nothing changes: too early", () => {
  const cluster = led(three, [n4]);
  cluster.cut(n2);
  cluster.propose(n1, "n2 misses this");
  cluster.step(n1, { type: "transfer-leadership", to: n2 });
  assert.equal(cluster.change(n1, [n1, n2, n3], [n4]), "too-early");
  cluster.run(electionTimeoutMs + 2 * heartbeatMs);
  assert.equal(cluster.change(n1, [n1, n2, n3], [n4]), undefined);
});

test("Membership: wishes without a voter, or with one node twice, are bugs of who asks", () => {
  for (const [voters, learners] of [
    [[], [n1]],
    [[n1, n1], []],
    [[n1, n2], [n2]],
  ] as const) {
    const cluster = led(three);
    assert.throws(() => cluster.change(n1, voters, learners), InvariantError);
  }
});

test("Membership: a node that starts blank takes in whatever configuration it is sent first", () => {
  const next = configurationOf({ voters: [n1, n2], outgoing: [n1, n3], learners: [n4] });
  const solo = new Solo({ id: n4, configuration: configurationOf({}) });
  assert.equal(solo.tick().messages.length, 0);
  solo.receive(n1, appendRequest({ term: 1, entries: [configurationEntry(1, 1, next)] }));
  assert.deepEqual(solo.core.status().configuration, next);
});
