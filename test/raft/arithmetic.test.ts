import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex, type NodeId, term } from "../../node/base/ids.ts";
import { decodeConfiguration, encodeConfiguration, membersOf } from "../../node/raft/configuration.ts";
import { ConfigurationHistory } from "../../node/raft/configuration-history.ts";
import { Progress } from "../../node/raft/progress.ts";
import { countVotes, majority, reachedByQuorum } from "../../node/raft/quorum.ts";
import { TermRuns } from "../../node/raft/term-runs.ts";
import { at, bytes, configurationEntry, configurationOf, entriesOf, n1, n2, n3, n4, node, runsOf } from "./support.ts";

const someNodes = fc
  .uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 })
  .map((ids) => ids.map(node));

test("Quorum: a majority is more than half", () => {
  assert.deepEqual([1, 2, 3, 4, 5].map(majority), [1, 2, 2, 3, 3]);
});

test("Quorum: what a quorum has reached is the largest value that a majority of each half has", () => {
  fc.assert(
    fc.property(
      someNodes,
      someNodes,
      fc.boolean(),
      fc.array(fc.nat(9), { minLength: 8, maxLength: 8 }),
      (voters, others, isJoint, values) => {
        const configuration = configurationOf({ voters, outgoing: isJoint ? others : [] });
        const valueOf = (id: NodeId) => values[Number(id.slice(1))] ?? 0;
        const isReached = (value: number) =>
          [configuration.voters, configuration.outgoing].every(
            (half) => half.length === 0 || half.filter((id) => valueOf(id) >= value).length * 2 > half.length,
          );
        const reached = reachedByQuorum(configuration, valueOf);
        assert.ok(isReached(reached) && !isReached(reached + 1), `${reached}`);
      },
    ),
  );
});

test("Quorum: a vote is lost as soon as it cannot be won any more", () => {
  const configuration = configurationOf({ voters: [n1, n2, n3] });
  const answers = (...granted: [NodeId, boolean][]) => countVotes(configuration, new Map(granted));
  assert.equal(answers([n1, true]), "pending");
  assert.equal(answers([n1, true], [n2, false]), "pending");
  assert.equal(answers([n1, true], [n2, false], [n3, false]), "lost");
  assert.equal(answers([n1, true], [n3, true], [n4, false]), "won");
});

test("TermRuns: answers for every index what the plain list of terms would", () => {
  const steps = fc.array(fc.tuple(fc.nat(3), fc.nat(12)), { maxLength: 40 });
  fc.assert(
    fc.property(steps, fc.nat(15), fc.nat(5), (drawn, askedIndex, askedTerm) => {
      const runs = new TermRuns(at(0, 0), [], logIndex(0));
      let [terms, base]: [number[], number] = [[0], 0];
      for (const [kind, value] of drawn) {
        const last = terms.length - 1;
        if (kind <= 1) {
          const next = (terms[last] ?? 0) + (value % 3 === 0 ? 1 : 0);
          runs.append(logIndex(last + 1), term(next));
          terms.push(next);
        } else if (kind === 2 && value > base && value <= last) {
          runs.truncateFrom(logIndex(value));
          terms = terms.slice(0, value);
        } else if (kind === 3 && value >= base && value <= last) {
          runs.dropThrough(logIndex(value));
          base = value;
        }
      }
      for (let index = 0; index <= terms.length; index += 1)
        assert.equal(runs.termAt(logIndex(index)), index < base ? undefined : terms[index], `term at ${index}`);
      assert.deepEqual(runs.last, at(terms.length - 1, terms.at(-1) ?? 0));
      let expected: number | undefined;
      for (let index = base; index <= Math.min(askedIndex, terms.length - 1); index += 1)
        if ((terms[index] ?? 0) <= askedTerm) expected = index;
      assert.equal(runs.lastNotBeyond(logIndex(askedIndex), term(askedTerm))?.index, expected);
    }),
    { numRuns: 500 },
  );
});

test("TermRuns: runs that do not begin after the base are refused", () => {
  assert.throws(() => new TermRuns(at(3, 1), runsOf(entriesOf([1, 1])), logIndex(2)), { name: "InvariantError" });
});

test("Configuration: comes back from its bytes as it was; anything else is refused", () => {
  const configuration = configurationOf({ voters: [n1, n2], outgoing: [n1, n3], learners: [n4], learnersNext: [n3] });
  assert.deepEqual(decodeConfiguration(encodeConfiguration(configuration)), configuration);
  assert.deepEqual(membersOf(configuration), [n1, n2, n3, n4]);
  for (const text of [
    "{}",
    '{"voters":[]}',
    '{"voters":[7],"outgoing":[],"learners":[],"learnersNext":[]}',
    '{"voters":["A B"],"outgoing":[],"learners":[],"learnersNext":[]}',
  ])
    assert.throws(() => decodeConfiguration(bytes(text)), { name: "InvariantError" });
});

test("Configuration: the history goes back as far as anything may be truncated", () => {
  const history = new ConfigurationHistory(logIndex(2), configurationOf({ voters: [n1] }));
  history.adopt([
    configurationEntry(5, 1, { voters: [n1], learners: [n2] }),
    configurationEntry(7, 1, { voters: [n1, n2], outgoing: [n1] }),
  ]);
  history.settleThrough(logIndex(6));
  history.truncateFrom(logIndex(7));
  assert.deepEqual([history.currentIndex, history.current.learners], [5, [n2]]);
  assert.throws(() => history.truncateFrom(logIndex(5)), { name: "InvariantError" });
});

test("Progress: a refusal that is older than what is known changes nothing", () => {
  const progress = new Progress({ nextIndex: logIndex(9), maxInflight: 4 });
  progress.matched(logIndex(8), logIndex(0));
  assert.equal(progress.rejected(logIndex(6), logIndex(9), logIndex(9)), false);
  assert.deepEqual([progress.state, progress.nextIndex], ["replicate", 9]);
});

test("Progress: a follower whose log is shorter than it acknowledged is probed from where it ends", () => {
  const progress = new Progress({ nextIndex: logIndex(9), maxInflight: 4 });
  progress.matched(logIndex(8), logIndex(0));
  assert.equal(progress.rejected(logIndex(8), logIndex(5), logIndex(5)), true);
  assert.deepEqual([progress.state, progress.matchIndex, progress.nextIndex], ["probe", 0, 6]);
});
