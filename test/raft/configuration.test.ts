import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex, type NodeId } from "../../node/base/ids.ts";
import { isJoint, membersOf } from "../../node/raft/configuration.ts";
import { finalStep, firstStep, isAsWanted, mayFollow } from "../../node/raft/configuration-change.ts";
import { ConfigurationHistory } from "../../node/raft/configuration-history.ts";
import { isQuorum } from "../../node/raft/quorum.ts";
import type { Configuration, WantedMembers } from "../../node/raft/types.ts";
import { configurationEntry, configurationOf, n1, n2, n3, n4, node } from "./support.ts";

const nodeCount = 6;
const everybody = Array.from({ length: nodeCount }, (_, place) => node(place + 1));

/** Any members: each node is a voter, a learner, or neither; at least one voter. */
const members: fc.Arbitrary<WantedMembers> = fc
  .tuple(
    fc.array(fc.nat(2), { minLength: nodeCount, maxLength: nodeCount }),
    fc.shuffledSubarray([...everybody], { minLength: nodeCount }),
  )
  .map(([places, order]) => ({
    voters: order.filter((_, at) => places[at] === 0),
    learners: order.filter((_, at) => places[at] === 1),
  }))
  .filter(({ voters }) => voters.length > 0);

/** Every set of nodes that is a quorum, as bits. */
function quorumsOf(configuration: Configuration): number[] {
  const sets = Array.from({ length: 2 ** nodeCount }, (_, bits) => bits);
  return sets.filter((bits) => isQuorum(configuration, (id) => (bits & (1 << everybody.indexOf(id))) !== 0));
}

function alwaysMeet(one: Configuration, other: Configuration): boolean {
  const others = quorumsOf(other);
  return quorumsOf(one).every((bits) => others.every((each) => (bits & each) !== 0));
}

test("Configuration: from any members to any others, every quorum of each step meets every quorum of the next (§6)", () => {
  fc.assert(
    fc.property(members, members, (from, wanted) => {
      const before = configurationOf(from);
      const first = firstStep(before, wanted);
      assert.ok(mayFollow(before, first) && alwaysMeet(before, first));
      const last = isJoint(first) ? finalStep(first) : first;
      assert.ok(alwaysMeet(first, last) && isAsWanted(last, wanted));
      if (isJoint(first)) assert.ok(mayFollow(first, last));
      assert.equal(
        isJoint(first),
        !isAsWanted(configurationOf({ ...from, learners: [] }), { ...wanted, learners: [] }),
      );
    }),
    { numRuns: 200 },
  );
});

test("Configuration: while it is joint, everybody is a member who was one before or shall be one, but learners that leave", () => {
  fc.assert(
    fc.property(members, members, (from, wanted) => {
      const first = firstStep(configurationOf(from), wanted);
      const expected = isJoint(first) ? [...from.voters] : [];
      assert.deepEqual(new Set(membersOf(first)), new Set([...expected, ...wanted.voters, ...wanted.learners]));
      for (const learner of first.learners)
        assert.ok(!first.voters.includes(learner) && !first.outgoing.includes(learner));
    }),
  );
});

test("Configuration: one whose quorums could miss those of the last may not follow it", () => {
  fc.assert(
    fc.property(members, members, members, fc.boolean(), fc.boolean(), (a, b, c, isFirstJoint, isNextJoint) => {
      const first = configurationOf({ voters: a.voters, outgoing: isFirstJoint ? b.voters : [] });
      const next = configurationOf({ voters: c.voters, outgoing: isNextJoint ? b.voters : [] });
      if (mayFollow(first, next)) assert.ok(alwaysMeet(first, next));
    }),
    { numRuns: 300 },
  );
});

test("Configuration: no voters may be exchanged at once, and none in the middle of a change", () => {
  const three = configurationOf({ voters: [n1, n2, n3] });
  const joint = configurationOf({ voters: [n1, n2, n4], outgoing: [n1, n2, n3] });
  assert.equal(mayFollow(three, configurationOf({ voters: [n1, n2, n4] })), false);
  assert.equal(mayFollow(three, configurationOf({ voters: [n1, n4], outgoing: [n1, n2] })), false);
  assert.equal(mayFollow(joint, three), false);
  assert.equal(mayFollow(joint, configurationOf({ voters: [n1, n4], outgoing: [n1, n2, n4] })), false);
  assert.equal(mayFollow(configurationOf({}), joint), true, "a blank node knows of nobody");
  assert.throws(() => firstStep(joint, { voters: [n1], learners: [] }), { name: "InvariantError" });
  assert.throws(() => finalStep(three), { name: "InvariantError" });
});

test("Configuration: a log entry that does not follow from the last is refused", () => {
  const history = new ConfigurationHistory(logIndex(1), configurationOf({ voters: [n1, n2, n3] }));
  assert.throws(() => history.adopt([configurationEntry(2, 1, { voters: [n1, n4] })]), { name: "InvariantError" });
  assert.throws(() => history.adopt([configurationEntry(1, 1, { voters: [n1, n2, n3] })]), { name: "InvariantError" });
});

test("Configuration: the history shows what a plain list of all entries would, whatever is truncated and settled", () => {
  const learnersOf = (index: number): NodeId[] => everybody.slice(3, 3 + (index % 4));
  const steps = fc.array(fc.tuple(fc.constantFrom("adopt", "truncate", "settle" as const), fc.nat(6)), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(steps, (drawn) => {
      const voters = [n1, n2, n3];
      const history = new ConfigurationHistory(logIndex(0), configurationOf({ voters }));
      let [indexes, last, settled]: [number[], number, number] = [[0], 0, 0];
      for (const [kind, by] of drawn) {
        if (kind === "adopt") {
          last += 1 + by;
          indexes.push(last);
          history.adopt([configurationEntry(last, 1, { voters, learners: learnersOf(last) })]);
        } else if (kind === "truncate" && last - by > settled) {
          last -= by;
          indexes = indexes.filter((index) => index < last);
          history.truncateFrom(logIndex(last));
          last -= 1;
        } else if (kind === "settle" && settled + by <= last) {
          settled += by;
          history.settleThrough(logIndex(settled));
        }
        assert.equal(history.currentIndex, indexes.at(-1));
        for (let commit = settled; commit <= last; commit += 1) {
          const from = indexes.findLastIndex((index) => index <= commit);
          const expected = indexes.slice(from).map((index) => (index === 0 ? [] : learnersOf(index)));
          assert.deepEqual(
            history.since(logIndex(commit)).map(({ learners }) => learners),
            expected,
          );
        }
      }
    }),
  );
});
