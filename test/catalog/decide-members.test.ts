import assert from "node:assert/strict";
import { test } from "node:test";
import type { Incarnation, NodeId } from "../../node/base/ids.ts";
import { unsettledNodes } from "../../node/catalog/members.ts";
import { readMember, readMembers } from "../../node/catalog/tables.ts";
import type { Command, MemberFacts, Outcome, Reassignment } from "../../node/catalog/types.ts";
import { membersOf } from "../../node/raft/configuration.ts";
import { checkCatalog } from "./checker.ts";
import {
  ann,
  count,
  deposit,
  edit,
  fence,
  founderLife,
  founding,
  holdersText,
  id,
  made,
  nodes,
  refusal,
  remove,
  report,
  TestCatalog,
} from "./fixture.ts";

const [n1, n2, n3, n4, n5] = nodes(5) as [NodeId, NodeId, NodeId, NodeId, NodeId];

function facts(node: NodeId, changes: Partial<MemberFacts> = {}): MemberFacts {
  const address = { host: "10.0.0.4", port: 4104 };
  const incarnation = id<Incarnation>(204);
  return { id: node, incarnation, role: "voter", zone: "d", api: address, peer: address, ...changes };
}
const add = (node: NodeId, changes: Partial<MemberFacts> = {}): Command => ({
  type: "add-member",
  member: facts(node, changes),
});
const leave = (node: NodeId, acceptLoss = false): Command => ({ type: "remove-member", node, acceptLoss });
const forget = (node: NodeId, life = founderLife): Command => ({ type: "forget-member", node, life });

/** Settles the file `a` anew, whose bytes are `blob`. */
function reassign(blob: number, ranking: readonly NodeId[] = [], name = "a"): Command {
  const file = { clientId: ann, name, blobId: id(blob), ranking } as Reassignment;
  return { type: "reassign-replicas", files: [file] };
}

/** Consensus has followed: every member that stays has its seat, leaving voters are learners. */
function follow(catalog: TestCatalog): void {
  const members = readMembers(catalog);
  const voters = members.filter(({ role, state }) => role === "voter" && state === "member").map((each) => each.id);
  const learners = members.map((each) => each.id).filter((node) => !voters.includes(node));
  catalog.configure({ voters, learners });
}

/** A catalog in which `node` was added, whether or not consensus has followed. */
function grown(node: NodeId, changes: Partial<MemberFacts> = {}): TestCatalog {
  const catalog = new TestCatalog();
  assert.deepEqual(catalog.apply(add(node, changes)), { type: "done" });
  return catalog;
}

function detail(outcome: Outcome): string {
  return outcome.type === "refused" ? outcome.detail : outcome.type;
}

test("Members: an added node is a member in a life of its own, named by the entry that added it", () => {
  const catalog = new TestCatalog(founding([n1, n3]));
  const index = catalog.next;
  catalog.apply(add(n2));
  const expected = { ...facts(n2), state: "member", life: index, sweptUpTo: 0 };
  assert.deepEqual(readMember(catalog, n2), expected);
  assert.deepEqual(
    readMembers(catalog).map((member) => member.id),
    [n1, n2, n3],
  );
  checkCatalog(catalog);
});

test("Members: a member is not added twice, and another life of it only after its removal", () => {
  const catalog = grown(n4);
  const again = catalog.apply(add(n4));
  assert.equal(refusal(again), "already-a-member");
  assert.match(detail(again), /nothing to do/);
  const emptied = catalog.apply(add(n4, { incarnation: id(999) }));
  assert.equal(refusal(emptied), "already-a-member");
  assert.match(detail(emptied), /remove it first/);
});

test("Members: while a node is added no other change begins, until consensus has given it its seat", () => {
  const catalog = grown(n4);
  assert.equal(refusal(catalog.apply(add(n5))), "node-busy");
  assert.equal(refusal(catalog.apply(leave(n1))), "node-busy");
  catalog.configure({ voters: [n1, n2, n3], learners: [n4] });
  assert.match(detail(catalog.apply(leave(n1))), /node n4 is being added/);
  catalog.configure({ voters: [n1, n2, n3, n4], outgoing: [n1, n2, n3] });
  assert.equal(refusal(catalog.apply(leave(n1))), "node-busy");
  follow(catalog);
  assert.deepEqual(catalog.apply(leave(n1)), { type: "done" });
});

test("Members: a storage node has its seat as a learner", () => {
  const catalog = grown(n4, { role: "storage" });
  assert.equal(refusal(catalog.apply(add(n5))), "node-busy");
  catalog.configure({ voters: [n1, n2, n3], learners: [n4] });
  assert.deepEqual(catalog.apply(add(n5)), { type: "done" });
});

test("Members: the node that is being added can be removed at once, in whatever seat", () => {
  for (const seat of [
    { voters: [n1, n2, n3] },
    { voters: [n1, n2, n3], learners: [n4] },
    { voters: [n1, n2, n3, n4], outgoing: [n1, n2, n3] },
  ]) {
    const catalog = grown(n4);
    catalog.configure(seat);
    assert.deepEqual(catalog.apply(leave(n4)), { type: "done" });
    assert.equal(readMember(catalog, n4)?.state, "leaving");
  }
});

test("Members: a removal runs until the node is gone from members and consensus", () => {
  const catalog = new TestCatalog();
  catalog.apply(leave(n3));
  assert.match(detail(catalog.apply(add(n4))), /node n3 is being removed/);
  follow(catalog);
  assert.equal(refusal(catalog.apply(leave(n1))), "node-busy");
  catalog.apply(forget(n3));
  assert.deepEqual(unsettledNodes(readMembers(catalog), catalog.meta.configuration), [n3]);
  assert.equal(refusal(catalog.apply(add(n3))), "node-busy", "the old life may still hear of the log");
  follow(catalog);
  assert.deepEqual(catalog.apply(add(n3)), { type: "done" });
});

test("Members: an unknown node is not removed, nor is the last voter", () => {
  const catalog = new TestCatalog(founding([n1, n2], [n2]));
  assert.equal(refusal(catalog.apply(leave(n9))), "node-not-found");
  assert.equal(refusal(catalog.apply(leave(n1))), "last-voter");
  assert.deepEqual(catalog.apply(leave(n2)), { type: "done" });
});
const n9 = "n9" as NodeId;

test("Members: a removal may be repeated, and made to give up what only that node holds", () => {
  const catalog = new TestCatalog();
  for (const [acceptLoss, state] of [
    [false, "leaving"],
    [false, "leaving"],
    [true, "lost"],
    [false, "lost"],
  ] as const) {
    assert.deepEqual(catalog.apply(leave(n3, acceptLoss)), { type: "done" });
    assert.equal(readMember(catalog, n3)?.state, state);
  }
});

test("Members: who still votes is not forgotten, nor is who stays", () => {
  const catalog = new TestCatalog();
  assert.equal(refusal(catalog.apply(forget(n3))), "node-busy");
  catalog.apply(leave(n3));
  assert.equal(refusal(catalog.apply(forget(n3))), "node-busy");
  catalog.configure({ voters: [n1, n2], outgoing: [n1, n2, n3], learnersNext: [n3] });
  assert.equal(refusal(catalog.apply(forget(n3))), "node-busy");
  follow(catalog);
  assert.deepEqual(catalog.apply(forget(n3)), { type: "done" });
  assert.equal(readMember(catalog, n3), undefined);
});

test("Leaving: counts go up to the nodes that stay, and new replicas only to them", () => {
  const catalog = new TestCatalog();
  catalog.apply(leave(n3));
  assert.equal(refusal(catalog.apply(deposit("x", 1, [n1], { replicas: count(3) }))), "replicas-out-of-range");
  assert.equal(catalog.deposited(deposit("x", 2, [n1, n2], { defaultReplicas: count(3) })).record.replicas, 2);
  const { record } = catalog.deposited(deposit("y", 3, [n1], { replicas: count(2), ranking: [n3, n2] }));
  assert.equal(holdersText(record), "n1 n2?");
});

test("Leaving: a copy on a leaving node does not count, and leaves no row there", () => {
  const catalog = new TestCatalog();
  catalog.apply(leave(n3));
  assert.equal(refusal(catalog.apply(deposit("x", 1, [n1, n3], { replicas: count(2) }))), "too-few-copies");
  assert.equal(refusal(catalog.apply(deposit("x", 2, [n3], { replicas: count(1) }))), "behind-fence");
  catalog.deposited(deposit("x", 3, [n1, n2, n3], { replicas: count(2) }));
  catalog.deposited(deposit("x", 4, [n1, n3], { replicas: count(2) }));
  for (const blob of [1, 2, 3, 4]) assert.equal(catalog.holder(n3, blob), undefined);
  checkCatalog(catalog);
});

test("Leaving: a file whose count is more than there are nodes is deposited again on those there are", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2, n3], { replicas: count(3) }));
  catalog.apply(leave(n3));
  const { record } = catalog.deposited(deposit("y", 2, [n1, n2]));
  assert.equal(record.replicas, 3);
  assert.equal(holdersText(record), "n1 n2");
  assert.equal(catalog.meta.totals.unplaced, 1);
});

test("Leaving: a replica moves to another node, and is dropped only when that has it", () => {
  const catalog = new TestCatalog(founding(nodes(4)));
  catalog.deposited(deposit("x", 1, [n1, n3], { replicas: count(2) }));
  const version = catalog.file()?.version;
  catalog.apply(leave(n3));
  catalog.apply(reassign(1, [n3, n4]));
  assert.equal(holdersText(catalog.file()), "n1 n3 n4?");
  catalog.apply(reassign(1, [n4, n2]));
  assert.equal(holdersText(catalog.file()), "n1 n3 n4?", "who was asked already goes on");
  catalog.apply(made(n4, 1, 7));
  assert.equal(holdersText(catalog.file()), "n1 n4");
  assert.equal(catalog.holder(n3, 1), "doomed");
  assert.equal(catalog.file()?.version, version);
  checkCatalog(catalog);
});

test("Leaving: who was asked for a replica and has not made it gives way to those ranked before it", () => {
  const catalog = new TestCatalog(founding(nodes(4)));
  catalog.deposited(deposit("x", 1, [n1, n3], { replicas: count(2) }));
  catalog.apply(leave(n3));
  catalog.apply(reassign(1, [n4]));
  catalog.apply(reassign(1, [n2, n4]));
  assert.equal(holdersText(catalog.file()), "n1 n3 n2?");
  catalog.apply(made(n4, 1, 7));
  assert.equal(catalog.holder(n4, 1), "doomed", "its copy came too late");
  catalog.apply(made(n2, 1, 8));
  assert.equal(holdersText(catalog.file()), "n1 n2");
  checkCatalog(catalog);
});

test("Leaving: while its replica is the only one left it stays, whatever else changes", () => {
  const catalog = new TestCatalog(founding(nodes(4)));
  catalog.deposited(deposit("x", 1, [n1, n3], { replicas: count(2) }));
  catalog.apply(leave(n3));
  catalog.apply(reassign(1, [n4]));
  catalog.apply(report(n1, 1, "lost"));
  assert.equal(holdersText(catalog.file()), "n1? n3 n4?");
  catalog.apply(edit({ replicas: count(1) }));
  assert.equal(holdersText(catalog.file()), "n1? n3");
  catalog.apply(edit({ replicas: count(3), ranking: [n2, n4] }));
  assert.equal(holdersText(catalog.file()), "n1? n3 n2? n4?");
  catalog.apply(made(n2, 1, 7));
  assert.equal(holdersText(catalog.file()), "n1? n3 n2 n4?", "one of three is not yet enough");
  for (const node of [n1, n4]) catalog.apply(made(node, 1, 7));
  assert.equal(holdersText(catalog.file()), "n1 n2 n4");
});

test("Leaving: without another node to take it, a replica goes once every node that stays has one", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n3], { replicas: count(3), ranking: [n2] }));
  catalog.apply(leave(n3));
  catalog.apply(reassign(1));
  assert.equal(holdersText(catalog.file()), "n1 n3 n2?");
  catalog.apply(made(n2, 1, 7));
  assert.equal(holdersText(catalog.file()), "n1 n2");
  assert.deepEqual({ ...catalog.meta.totals }, { files: 1, bytes: 1, wanted: 3, present: 2, missing: 0, unplaced: 1 });
});

test("Leaving: what it lacks itself is given to another node at once", () => {
  const catalog = new TestCatalog(founding(nodes(4)));
  catalog.deposited(deposit("x", 1, [n1], { replicas: count(2), ranking: [n3] }));
  catalog.apply(leave(n3));
  catalog.apply(reassign(1, [n4]));
  assert.equal(holdersText(catalog.file()), "n1 n4?");
});

test("Leaving: a file that was replaced meanwhile is left alone by a late reassignment", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n3]));
  catalog.apply(leave(n3));
  catalog.deposited(deposit("y", 2, [n1, n2]));
  const before = catalog.file();
  catalog.apply(reassign(1, [n2]));
  catalog.apply(reassign(1, [n2], "nothing"));
  assert.deepEqual(catalog.file(), before);
});

test("Leaving: nobody waits for it to delete what is doomed, but what stays doomed on other nodes is theirs", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n3]));
  const forgetRows: Command = { type: "forget-replicas", node: n3, life: founderLife, blobIds: [id(1), id(2)] };
  catalog.apply(remove());
  catalog.apply(forgetRows);
  assert.equal(catalog.holder(n3, 1), "doomed", "it stays, so it will delete it");
  catalog.apply(leave(n3));
  catalog.apply({ ...forgetRows, life: catalog.next } as Command);
  assert.equal(catalog.holder(n3, 1), "doomed", "that is another life");
  catalog.apply(forgetRows);
  assert.equal(catalog.holder(n3, 1), undefined);
  assert.equal(catalog.holder(n1, 1), "doomed");
});

test("Lost: nobody waits for what a lost node may hold; a file that was only there wants it from nobody who has it", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n3], { replicas: count(1) }));
  catalog.deposited(deposit("y", 2, [n1, n3], { replicas: count(2), name: "b" }));
  catalog.apply(leave(n3, true));
  catalog.apply(reassign(1, [n2]));
  catalog.apply(reassign(2, [n2], "b"));
  assert.equal(holdersText(catalog.file()), "n2?");
  assert.equal(holdersText(catalog.file("b")), "n1 n2?");
  assert.equal(catalog.deposited(deposit("x", 3, [n1], { replicas: count(1) })).how, "replaced");
});

test("Grown again: replicas that had no node are given to one that was added", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2, n3], { replicas: count(3) }));
  catalog.apply(leave(n3));
  catalog.apply(reassign(1));
  follow(catalog);
  catalog.apply({ type: "forget-replicas", node: n3, life: founderLife, blobIds: [id(1)] });
  catalog.apply(forget(n3));
  follow(catalog);
  assert.equal(catalog.meta.totals.unplaced, 1);
  catalog.apply(add(n4));
  catalog.apply(reassign(1, [n4]));
  assert.equal(holdersText(catalog.file()), "n1 n2 n4?");
  assert.equal(catalog.meta.totals.unplaced, 0);
});

/** n3 was forgotten, and added again with an emptied directory. */
function reborn(): TestCatalog {
  const catalog = new TestCatalog();
  catalog.apply(leave(n3));
  follow(catalog);
  catalog.apply(forget(n3));
  follow(catalog);
  assert.deepEqual(catalog.apply(add(n3)), { type: "done" });
  follow(catalog);
  return catalog;
}

test("A new life: copies, reports, fences and removals of the former one count no more", () => {
  const catalog = reborn();
  assert.equal(refusal(catalog.apply(deposit("x", 1, [n3], { replicas: count(1) }))), "behind-fence");
  catalog.deposited(deposit("x", 2, [n1], { replicas: count(2), ranking: [n3] }));
  catalog.apply(made(n3, 2, 99));
  assert.equal(catalog.holder(n3, 2), "missing", "the new disk does not have it");
  catalog.apply(fence(n3, 1000));
  assert.equal(readMember(catalog, n3)?.sweptUpTo, 0);
  catalog.apply(leave(n3));
  follow(catalog);
  catalog.apply(forget(n3));
  assert.notEqual(readMember(catalog, n3), undefined);
});

test("A new life: what it says of itself counts", () => {
  const catalog = reborn();
  const life = readMember(catalog, n3)?.life;
  catalog.deposited(deposit("x", 1, [n1], { replicas: count(2), ranking: [n3] }));
  catalog.apply(made(n3, 1, 1, life));
  assert.equal(holdersText(catalog.file()), "n1 n3");
  const copies = [{ node: n3, life: life ?? founderLife, staged: 2 as never }];
  assert.equal(catalog.deposited(deposit("y", 2, [n3], { replicas: count(1), copies })).how, "replaced");
});

test("Forgotten: reports, fences and copies of a node that is gone change nothing", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2], { replicas: count(2) }));
  catalog.apply(leave(n3));
  follow(catalog);
  catalog.apply(forget(n3));
  assert.ok(membersOf(catalog.meta.configuration).includes(n3));
  const digest = catalog.meta.totals;
  for (const command of [made(n3, 1, 9), report(n3, 1, "lost"), fence(n3, 9), forget(n3)])
    assert.deepEqual(catalog.apply(command), { type: "done" });
  assert.deepEqual(catalog.meta.totals, digest);
  assert.equal(holdersText(catalog.file()), "n1 n2");
  checkCatalog(catalog);
});
