import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { NodeId } from "../../node/base/ids.ts";
import { logIndex, newIncarnation, staged } from "../../node/base/ids.ts";
import { unsettledNodes } from "../../node/catalog/members.ts";
import type { MemberRecord } from "../../node/catalog/types.ts";
import { isJoint } from "../../node/raft/configuration.ts";
import { finalStep, firstStep } from "../../node/raft/configuration-change.ts";
import type { Configuration } from "../../node/raft/types.ts";
import { nextMembers } from "../../node/replication/wanted-members.ts";

const all = ["n1", "n2", "n3", "n4", "n5"] as NodeId[];
const [n1, n2, n3, n4] = all as [NodeId, NodeId, NodeId, NodeId];
const everybody = () => true;

function record(id: NodeId, changes: Partial<MemberRecord> = {}): MemberRecord {
  const address = { host: "h", port: 1 };
  const facts = { id, incarnation: newIncarnation(), role: "voter", zone: "a", api: address, peer: address } as const;
  return { ...facts, state: "member", life: logIndex(1), sweptUpTo: staged(0), ...changes };
}
function configuration(voters: readonly NodeId[], learners: readonly NodeId[] = []): Configuration {
  return { voters, outgoing: [], learners, learnersNext: [] };
}
const three = [n1, n2, n3].map((id) => record(id));
const leaving = (id: NodeId) => record(id, { state: "leaving" });

test("Wanted members: a new voter is a learner first, and votes then", () => {
  const members = [...three, record(n4)];
  const learning = nextMembers(members, configuration([n1, n2, n3]), everybody);
  assert.deepEqual(learning, { voters: [n1, n2, n3], learners: [n4] });
  const voting = nextMembers(members, configuration([n1, n2, n3], [n4]), everybody);
  assert.deepEqual(voting, { voters: [n1, n2, n3, n4], learners: [] });
  assert.equal(nextMembers(members, configuration([n1, n2, n3, n4]), everybody), undefined);
});

test("Wanted members: a storage node is a learner for ever", () => {
  const members = [...three, record(n4, { role: "storage" })];
  assert.deepEqual(nextMembers(members, configuration([n1, n2, n3]), everybody)?.learners, [n4]);
  assert.equal(nextMembers(members, configuration([n1, n2, n3], [n4]), everybody), undefined);
});

test("Wanted members: a leaving voter is a learner until it is forgotten", () => {
  const members = [record(n1), record(n2), leaving(n3)];
  const demoted = nextMembers(members, configuration([n1, n2, n3]), everybody);
  assert.deepEqual(demoted, { voters: [n1, n2], learners: [n3] });
  assert.equal(nextMembers(members, configuration([n1, n2], [n3]), everybody), undefined);
  const gone = nextMembers(members.slice(0, 2), configuration([n1, n2], [n3]), everybody);
  assert.deepEqual(gone, { voters: [n1, n2], learners: [] });
});

test("Wanted members: a node that leaves before it had a seat gets none", () => {
  assert.equal(nextMembers([...three, leaving(n4)], configuration([n1, n2, n3]), everybody), undefined);
});

test("Wanted members: nothing is asked for while the configuration is joint", () => {
  const joint = { voters: [n1, n2, n3, n4], outgoing: [n1, n2, n3], learners: [], learnersNext: [] };
  assert.equal(nextMembers([...three, leaving(n4)], joint, everybody), undefined);
});

test("Wanted members: no change to voters of whom too few answer", () => {
  const without = (dead: NodeId) => (node: NodeId) => node !== dead;
  const members = [record(n1), leaving(n2), record(n3)];
  assert.equal(nextMembers(members, configuration([n1, n2, n3]), without(n3)), undefined);
  assert.deepEqual(nextMembers(members, configuration([n1, n2, n3]), without(n2))?.voters, [n1, n3]);
  const grown = [record(n1), record(n2)];
  assert.equal(nextMembers(grown, configuration([n1], [n2]), without(n2)), undefined);
});

test("Wanted members: from wherever consensus stands, it comes to what the members want, and voters are changed one by one", () => {
  const anyMember = fc
    .record({
      id: fc.constantFrom(...all),
      role: fc.constantFrom("voter" as const, "storage" as const),
      leaves: fc.boolean(),
    })
    .map(({ id, role, leaves }) => record(id, { role, state: leaves ? "leaving" : "member" }));
  const anyMembers = fc
    .uniqueArray(anyMember, { selector: ({ id }) => id, minLength: 1 })
    .filter((members) => members.some(({ role, state }) => role === "voter" && state === "member"));
  fc.assert(
    fc.property(anyMembers, fc.shuffledSubarray(all, { minLength: 1 }), fc.nat(5), (members, seats, count) => {
      const voters = seats.slice(0, Math.max(1, count));
      let current = configuration(voters, seats.slice(voters.length));
      for (let steps = 0; steps < 20; steps++) {
        const wanted = nextMembers(members, current, everybody);
        if (wanted === undefined) break;
        const next = firstStep(current, wanted);
        const promoted = next.voters.filter((node) => !current.voters.includes(node));
        assert.ok(promoted.length <= 1, "one at a time");
        assert.ok(
          promoted.every((node) => current.learners.includes(node)),
          "a learner first",
        );
        current = isJoint(next) ? finalStep(next) : next;
      }
      const unsettled = unsettledNodes(members, current);
      for (const node of unsettled) {
        assert.equal(members.find(({ id }) => id === node)?.state, "leaving");
        assert.ok(!current.voters.includes(node));
      }
    }),
  );
});
