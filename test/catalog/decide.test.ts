import assert from "node:assert/strict";
import { test } from "node:test";
import { type LogIndex, logIndex, type NodeId, staged } from "../../node/base/ids.ts";
import { decide } from "../../node/catalog/decide.ts";
import { Draft } from "../../node/catalog/draft.ts";
import { fileTag, recordTag } from "../../node/catalog/preconditions.ts";
import { readMember } from "../../node/catalog/tables.ts";
import type { Match, Outcome, Preconditions } from "../../node/catalog/types.ts";
import {
  ann,
  bob,
  count,
  deposit,
  edit,
  fence,
  founderLife,
  founding,
  holdersText,
  made,
  nodes,
  noPreconditions,
  refusal,
  register,
  remove,
  report,
  sha,
  TestCatalog,
} from "./fixture.ts";

const [n1, n2, n3] = nodes(3) as [NodeId, NodeId, NodeId];
const at = (index: LogIndex) => ({ index, configuration: new TestCatalog().meta.configuration });
const any: Match = { type: "any" };
const ifMatch = (...tags: string[]): Preconditions => ({ ...noPreconditions, ifMatch: { type: "tags", tags } });
const ifNoneMatch = (...tags: string[]): Preconditions => ({ ...noPreconditions, ifNoneMatch: { type: "tags", tags } });

test("Deposit: a new file is created with its copies present, in the door's order", () => {
  const catalog = new TestCatalog();
  const { how, record } = catalog.deposited(deposit("x", 1, [n2, n1], { contentType: "text/plain" }));
  assert.equal(how, "created");
  assert.equal(holdersText(record), "n2 n1");
  assert.equal(record.version, catalog.meta.applied.index);
  assert.equal(record.contentType, "text/plain");
  assert.deepEqual(catalog.file(), record);
  assert.equal(catalog.holder(n2, 1), "present");
});

test("Deposit: without a content type a new file is application/octet-stream", () => {
  assert.equal(new TestCatalog().deposited(deposit("x", 1, [n1])).record.contentType, "application/octet-stream");
});

test("Deposit: without a count a new file gets the default, or as many replicas as there are nodes", () => {
  const standard = { defaultReplicas: count(2) };
  assert.equal(new TestCatalog().deposited(deposit("x", 1, [n1, n2], standard)).record.replicas, 2);
  assert.equal(new TestCatalog(founding([n1])).deposited(deposit("x", 1, [n1], standard)).record.replicas, 1);
});

test("Deposit: a count raised while the bytes were on their way refuses too few copies, and writes nothing", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("old", 1, [n1], { replicas: count(1) }));
  catalog.apply(edit({ replicas: count(3) }));
  const outcome = catalog.apply(deposit("new", 2, [n2]));
  assert.equal(outcome.type === "refused" && outcome.code, "too-few-copies");
  assert.equal(catalog.deposited(deposit("new", 3, [n1, n2])).record.replicas, 3);
});

test("Deposit: replicas that no copy covers are missing on the next nodes of the ranking", () => {
  const catalog = new TestCatalog(founding(nodes(5)));
  const ranking = ["n9", "n1", "n4", "n5"] as NodeId[];
  const { record } = catalog.deposited(deposit("x", 1, [n1], { replicas: count(3), ranking }));
  assert.equal(holdersText(record), "n1 n4? n5?");
  assert.equal(catalog.holder("n4" as NodeId, 1), "missing");
});

test("Deposit: a ranking too short is filled up with members, so that every wanted replica has a node", () => {
  const { record } = new TestCatalog().deposited(deposit("x", 1, [n2], { replicas: count(3) }));
  assert.equal(holdersText(record), "n2 n1? n3?");
});

test("Deposit: copies beyond the count are doomed", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1, n2, n3], { replicas: count(2) }));
  assert.equal(holdersText(record), "n1 n2");
  assert.equal(catalog.holder(n3, 1), "doomed");
});

test("Deposit: other bytes replace the file, keep what was not said, and doom the old replicas", () => {
  const catalog = new TestCatalog();
  const created = catalog.deposited(deposit("x", 1, [n1, n2, n3], { replicas: count(3), contentType: "text/plain" }));
  const { how, record } = catalog.deposited(deposit("y", 2, [n1, n2, n3]));
  assert.equal(how, "replaced");
  assert.deepEqual(
    [record.replicas, record.contentType, record.createdAt],
    [3, "text/plain", created.record.createdAt],
  );
  assert.ok(record.version > created.record.version && record.updatedAt > created.record.updatedAt);
  for (const node of [n1, n2, n3])
    assert.deepEqual([catalog.holder(node, 1), catalog.holder(node, 2)], ["doomed", "present"]);
});

test("Deposit: identical bytes and count change nothing, and the new copies are doomed", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1, n2]));
  const again = catalog.deposited(deposit("x", 2, [n2, n3], { replicas: count(2) }));
  assert.equal(again.how, "unchanged");
  assert.deepEqual(again.record, record);
  assert.deepEqual(catalog.file(), record);
  assert.deepEqual([catalog.holder(n2, 2), catalog.holder(n3, 2)], ["doomed", "doomed"]);
  assert.deepEqual([catalog.holder(n1, 1), catalog.holder(n2, 1)], ["present", "present"]);
});

test("Deposit: identical bytes with another count change the count and store nothing", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2]));
  const { how, record } = catalog.deposited(deposit("x", undefined, [], { replicas: count(3), ranking: [n3] }));
  assert.equal(how, "replicas-changed");
  assert.equal(holdersText(record), "n1 n2 n3?");
  assert.equal(record.version, catalog.meta.applied.index);
});

test("Deposit: identical bytes with another content type alone replace the file without storing bytes", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1, n2]));
  const retyped = catalog.deposited(deposit("x", undefined, [], { contentType: "text/plain" }));
  assert.equal(retyped.how, "replaced");
  assert.deepEqual(retyped.record.blob, record.blob);
  assert.ok(retyped.record.version > record.version);
});

test("Deposit: a digest alone answers bytes-needed unless identical bytes stand there", () => {
  const catalog = new TestCatalog();
  assert.deepEqual(catalog.apply(deposit("x", undefined, [])), { type: "bytes-needed" });
  catalog.deposited(deposit("x", 1, [n1, n2]));
  assert.equal(catalog.deposited(deposit("x", undefined, [])).how, "unchanged");
  assert.deepEqual(catalog.apply(deposit("y", undefined, [])), { type: "bytes-needed" });
});

test("Deposit: when every replica was lost, identical bytes are asked for and take the place of the lost ones", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1], { replicas: count(1) }));
  catalog.apply(report(n1, 1, "lost"));
  assert.deepEqual(catalog.apply(deposit("x", undefined, [])), { type: "bytes-needed" });
  const { how, record } = catalog.deposited(deposit("x", 2, [n1]));
  assert.equal(how, "replaced");
  assert.equal(holdersText(record), "n1");
  assert.equal(catalog.holder(n1, 1), "doomed");
});

test("Deposit: a blob that stands is not doomed when it is named again", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2]));
  assert.equal(catalog.deposited(deposit("x", 1, [n1, n2])).how, "unchanged");
  assert.deepEqual([catalog.holder(n1, 1), catalog.holder(n2, 1)], ["present", "present"]);
});

test("Deposit: a blob that was replaced cannot come back, its bytes may be deleted", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2]));
  catalog.deposited(deposit("y", 2, [n1, n2]));
  assert.equal(refusal(catalog.apply(deposit("x", 1, [n1, n2]))), "behind-fence");
  assert.equal(refusal(catalog.apply(deposit("x", 1, [n1, n2], { name: "b" }))), "behind-fence");
});

test("Deposit: copies on nodes that are no members do not count, and none at all is refused", () => {
  const catalog = new TestCatalog();
  const stranger = "n9" as NodeId;
  const { record } = catalog.deposited(deposit("x", 1, [stranger, n1], { replicas: count(1) }));
  assert.equal(holdersText(record), "n1");
  assert.equal(refusal(catalog.apply(deposit("y", 2, [stranger]))), "behind-fence");
  assert.equal(refusal(catalog.apply(deposit("y", 3, []))), "behind-fence");
});

test("Deposit: a copy at or behind the fence is refused, one after it is taken", () => {
  const catalog = new TestCatalog();
  catalog.apply(fence(n1, 10));
  assert.equal(refusal(catalog.apply(deposit("x", 10, [n1, n2]))), "behind-fence");
  assert.equal(catalog.file(), undefined);
  assert.equal(catalog.deposited(deposit("x", 11, [n1, n2])).how, "created");
});

test("Deposit: identical bytes are answered whatever the fence says, their new copies are not needed", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2]));
  catalog.apply(fence(n1, 10));
  assert.equal(catalog.deposited(deposit("x", 5, [n1, n2])).how, "unchanged");
});

test("Fence: it only moves on, and only for members", () => {
  const catalog = new TestCatalog();
  catalog.apply(fence(n1, 10));
  catalog.apply(fence(n1, 4));
  assert.equal(readMember(catalog, n1)?.sweptUpTo, 10);
  assert.equal(readMember(catalog, n2)?.sweptUpTo, 0);
  assert.deepEqual(catalog.apply(fence("n9" as NodeId, 4)), { type: "done" });
});

test("Counts: more replicas than storing nodes are refused with the range, for deposits and edits", () => {
  const catalog = new TestCatalog(founding(nodes(3), [n3]));
  for (const outcome of [
    catalog.apply(deposit("x", 1, [n1], { replicas: count(4) })),
    (catalog.deposited(deposit("x", 2, [n1])), catalog.apply(edit({ replicas: count(4) }))),
  ]) {
    assert.equal(refusal(outcome), "replicas-out-of-range");
    assert.match((outcome as Extract<Outcome, { type: "refused" }>).detail, /4 .*1 to 3/);
  }
  assert.equal(catalog.apply(edit({ replicas: count(3) })).type, "edited");
});

test("Unknown clients: every command of one is refused alike and writes nothing", () => {
  const catalog = new TestCatalog();
  const commands = [
    deposit("x", 1, [n1], { clientId: bob }),
    edit({ clientId: bob, replicas: count(1) }),
    remove({ clientId: bob }),
    { type: "rotate-secret", clientId: bob, secretHash: sha("s"), at: 1 } as const,
  ];
  for (const command of commands) {
    const { outcome, writes } = decide(catalog, { ...at(catalog.next), command });
    assert.equal(refusal(outcome), "unauthenticated", command.type);
    assert.deepEqual(writes, []);
  }
});

test("Clients: registering keeps what was sent, rotating changes the secret alone", () => {
  const catalog = new TestCatalog();
  catalog.apply({ type: "register-client", clientId: bob, secretHash: sha("1"), label: "Bob", at: 77 });
  catalog.apply({ type: "rotate-secret", clientId: bob, secretHash: sha("2"), at: 78 });
  const empty = { files: 0, bytes: 0, replicaBytes: 0, createdAt: 77 };
  assert.deepEqual(catalog.client(bob), { clientId: bob, secretHash: sha("2"), label: "Bob", ...empty });
});

test("Clients: an id that is taken is not given to a second one", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1]));
  const before = catalog.client();
  assert.equal(refusal(catalog.apply({ ...register(ann), secretHash: sha("other") } as never)), "unauthenticated");
  assert.deepEqual(catalog.client(), before);
});

test("Clients: names of two clients do not meet", () => {
  const catalog = new TestCatalog(undefined, [ann, bob]);
  catalog.deposited(deposit("x", 1, [n1]));
  assert.equal(catalog.deposited(deposit("x", 2, [n1], { clientId: bob })).how, "created");
  assert.equal(refusal(catalog.apply(remove({ clientId: bob, name: "b" }))), "file-not-found");
});

const preconditionCases: readonly (readonly [what: string, stands: boolean, given: Preconditions, holds: boolean])[] = [
  ["If-None-Match: * on nothing", false, { ...noPreconditions, ifNoneMatch: any }, true],
  ["If-None-Match: * on a file", true, { ...noPreconditions, ifNoneMatch: any }, false],
  ["If-None-Match with the file's tag", true, ifNoneMatch('"z"', fileTag(sha("x"))), false],
  ["If-None-Match with its weak tag", true, ifNoneMatch(`W/${fileTag(sha("x"))}`), false],
  ["If-None-Match with another tag", true, ifNoneMatch(fileTag(sha("q"))), true],
  ["If-Match: * on a file", true, { ...noPreconditions, ifMatch: any }, true],
  ["If-Match: * on nothing", false, { ...noPreconditions, ifMatch: any }, false],
  ["If-Match with the file's tag", true, ifMatch('"z"', fileTag(sha("x"))), true],
  ["If-Match with its weak tag", true, ifMatch(`W/${fileTag(sha("x"))}`), false],
  ["If-Match without quotes", true, ifMatch(sha("x")), false],
  ["If-Match with a tag on nothing", false, ifMatch(fileTag(sha("x"))), false],
  ["both, of which one fails", true, { ifMatch: any, ifNoneMatch: any }, false],
];
for (const [what, stands, preconditions, holds] of preconditionCases) {
  test(`Preconditions: a deposit with ${what} ${holds ? "goes through" : "is refused"}`, () => {
    const catalog = new TestCatalog();
    if (stands) catalog.deposited(deposit("x", 1, [n1, n2]));
    const outcome = catalog.apply(deposit("y", 2, [n1, n2], { preconditions }));
    if (holds) assert.equal(outcome.type, "deposited");
    else assert.equal(refusal(outcome), "precondition-failed");
    assert.equal(catalog.file()?.blob.sha256, holds ? sha("y") : stands ? sha("x") : undefined);
  });
}

test("Preconditions: they are decided for identical bytes and bare digests too", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2]));
  const preconditions = { ...noPreconditions, ifNoneMatch: any };
  assert.equal(refusal(catalog.apply(deposit("x", 2, [n1], { preconditions }))), "precondition-failed");
  assert.equal(refusal(catalog.apply(deposit("x", undefined, [], { preconditions }))), "precondition-failed");
});

test("Preconditions: what is refused anyway is refused for that reason (RFC 9110 §13.2.1)", () => {
  const catalog = new TestCatalog();
  const preconditions = { ...noPreconditions, ifMatch: any };
  const tooMany = deposit("x", 1, [n1], { replicas: count(9), preconditions });
  assert.equal(refusal(catalog.apply(tooMany)), "replicas-out-of-range");
  assert.equal(refusal(catalog.apply(remove({ preconditions }))), "file-not-found");
  assert.equal(refusal(catalog.apply(edit({ preconditions }))), "file-not-found");
});

test("Preconditions: exactly one of two creations wins", () => {
  const catalog = new TestCatalog();
  const preconditions = { ...noPreconditions, ifNoneMatch: any };
  const outcomes = [1, 2].map((blob) => catalog.apply(deposit(`${blob}`, blob, [n1], { preconditions })).type);
  assert.deepEqual(outcomes, ["deposited", "refused"]);
});

test("Edit: count and content type change, the bytes stay", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1, n2]));
  const outcome = catalog.apply(edit({ replicas: count(1), contentType: "text/plain" }));
  assert.equal(outcome.type, "edited");
  const file = catalog.file();
  assert.deepEqual([file?.replicas, file?.contentType, file?.blob], [1, "text/plain", record.blob]);
  assert.deepEqual([file?.version, file?.updatedAt], [catalog.meta.applied.index, 5000]);
});

test("Edit: what changes nothing keeps the version", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1, n2], { contentType: "text/plain" }));
  const edits = [edit({}), edit({ replicas: count(2) }), edit({ contentType: "text/plain" })];
  for (const command of edits) assert.deepEqual(catalog.apply(command), { type: "edited", record });
  assert.deepEqual(catalog.file(), record);
});

test("Edit: If-Match is the record's tag, which a change of count makes another one", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1, n2]));
  const preconditions = ifMatch(recordTag(record.version));
  assert.equal(catalog.apply(edit({ replicas: count(1), preconditions })).type, "edited");
  assert.equal(refusal(catalog.apply(edit({ replicas: count(2), preconditions }))), "precondition-failed");
  assert.equal(
    refusal(catalog.apply(edit({ preconditions: ifMatch(fileTag(record.blob.sha256)) }))),
    "precondition-failed",
  );
});

test("Edit: repair between reading and editing does not fail the precondition", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1], { replicas: count(2), ranking: [n2] }));
  catalog.apply(made(n2, 1, 9));
  const preconditions = ifMatch(recordTag(record.version));
  assert.equal(catalog.apply(edit({ replicas: count(1), preconditions })).type, "edited");
});

test("Edit: a raised count adds missing replicas by the ranking, leaving out those that hold one", () => {
  const catalog = new TestCatalog(founding(nodes(5)));
  catalog.deposited(deposit("x", 1, [n1, n2]));
  catalog.apply(edit({ replicas: count(4), ranking: ["n2", "n5", "n3"] as NodeId[] }));
  assert.equal(holdersText(catalog.file()), "n1 n2 n5? n3?");
});

test("Edit: a lowered count drops the missing replicas first, then the last present ones", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n2], { replicas: count(3), ranking: [n1, n3] }));
  catalog.apply(made(n3, 1, 9));
  catalog.apply(edit({ replicas: count(2) }));
  assert.equal(holdersText(catalog.file()), "n2 n3");
  assert.equal(catalog.holder(n1, 1), "doomed", "its node may be fetching right now");
  catalog.apply(edit({ replicas: count(1) }));
  assert.equal(holdersText(catalog.file()), "n2");
  assert.equal(catalog.holder(n3, 1), "doomed");
});

test("Edit: lowering to what is present keeps a missing replica that is still wanted", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1], { replicas: count(3), ranking: [n2, n3] }));
  catalog.apply(edit({ replicas: count(2) }));
  assert.equal(holdersText(catalog.file()), "n1 n2?");
});

test("Edit: a node whose replica was doomed may be asked for it again", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2, n3], { replicas: count(3) }));
  catalog.apply(edit({ replicas: count(2) }));
  catalog.apply(edit({ replicas: count(3) }));
  assert.equal(catalog.holder(n3, 1), "missing");
  catalog.apply(report(n3, 1, "dropped"));
  assert.equal(catalog.holder(n3, 1), "missing", "the report is about the former life of the row");
});

test("Remove: the record goes, all replicas are doomed, and a second time there is nothing", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1], { replicas: count(2), ranking: [n2] }));
  assert.deepEqual(catalog.apply(remove()), { type: "done" });
  assert.equal(catalog.file(), undefined);
  assert.deepEqual([catalog.holder(n1, 1), catalog.holder(n2, 1)], ["doomed", "doomed"]);
  assert.equal(refusal(catalog.apply(remove())), "file-not-found");
});

test("Remove: If-Match spares a file that changed", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1]));
  assert.equal(refusal(catalog.apply(remove({ preconditions: ifMatch(fileTag(sha("y"))) }))), "precondition-failed");
  assert.deepEqual(catalog.apply(remove({ preconditions: ifMatch(fileTag(sha("x"))) })), { type: "done" });
});

test("Reports: made turns a missing replica present, lost turns it back, and neither changes the version", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1], { replicas: count(2), ranking: [n2] }));
  catalog.apply(made(n2, 1, 9));
  assert.deepEqual(catalog.file()?.holders[1], { node: n2, state: "present", staged: 9 });
  assert.equal(catalog.holder(n2, 1), "present");
  catalog.apply(report(n1, 1, "lost"));
  assert.equal(holdersText(catalog.file()), "n1? n2");
  assert.equal(catalog.holder(n1, 1), "missing");
  assert.equal(catalog.file()?.version, record.version);
});

test("Reports: a surplus replica kept for a missing one goes in the decision that makes that one", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1, n2], { replicas: count(2) }));
  // As a move of a replica from n2 to n3 leaves it: more holders than wanted until n3 has its own.
  const draft = new Draft(catalog);
  draft.changeFile(record, { ...record, holders: [{ node: n3, state: "missing" }, ...record.holders] });
  catalog.write(draft.decision({ type: "done" }).writes);
  const { outcome, writes } = decide(catalog, { ...at(catalog.next), command: made(n3, 1, 9) });
  catalog.write(writes);
  assert.equal(outcome.type, "done");
  assert.equal(holdersText(catalog.file()), "n3 n1");
  assert.equal(catalog.holder(n2, 1), "doomed");
});

test("Reports: made behind the fence stays missing, and its node is told again", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1], { replicas: count(2), ranking: [n2] }));
  catalog.apply(fence(n2, 9));
  const { ownerRows } = catalog.applyEntries([catalog.entry(made(n2, 1, 9))]);
  assert.equal(catalog.holder(n2, 1), "missing");
  assert.deepEqual(
    ownerRows.map(({ node, state }) => [node, state]),
    [[n2, "missing"]],
  );
});

test("Reports: made for a doomed replica leaves it doomed, and its node is told to delete the copy", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1], { replicas: count(2), ranking: [n2] }));
  catalog.apply(remove());
  const { ownerRows } = catalog.applyEntries([catalog.entry(made(n2, 1, 9))]);
  assert.equal(catalog.holder(n2, 1), "doomed");
  assert.deepEqual(
    ownerRows.map(({ node, state }) => [node, state]),
    [[n2, "doomed"]],
  );
});

test("Reports: dropped forgets a doomed row only", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2, n3], { replicas: count(2) }));
  for (const node of [n1, n3]) catalog.apply(report(node, 1, "dropped"));
  assert.equal(catalog.holder(n3, 1), undefined);
  assert.equal(catalog.holder(n1, 1), "present");
});

test("Reports: reports without a row, or by a stranger, change nothing", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2]));
  const before = catalog.meta;
  for (const node of [n3, "n9" as NodeId]) {
    for (const command of [made(node, 1, 9), report(node, 1, "lost"), report(node, 1, "dropped")]) {
      assert.deepEqual(decide(catalog, { ...at(catalog.next), command }).writes, []);
    }
  }
  assert.deepEqual(catalog.meta, before);
});

test("Reports: one command's reports are taken in order", () => {
  const catalog = new TestCatalog();
  const { record } = catalog.deposited(deposit("x", 1, [n1, n2]));
  catalog.apply({
    type: "report-replicas",
    node: n1,
    life: founderLife,
    reports: [
      { type: "lost", blobId: record.blob.blobId },
      { type: "made", blobId: record.blob.blobId, staged: staged(9) },
    ],
  });
  assert.deepEqual(catalog.file()?.holders[0], { node: n1, state: "present", staged: 9 });
});

test("Counters: a client's files, bytes and replica bytes follow every change", () => {
  const catalog = new TestCatalog();
  const counters = (): unknown[] => {
    const client = catalog.client();
    return [client?.files, client?.bytes, client?.replicaBytes];
  };
  catalog.deposited(deposit("xxx", 1, [n1, n2]));
  assert.deepEqual(counters(), [1, 3, 6]);
  catalog.deposited(deposit("yyyyy", 2, [n1, n2]));
  assert.deepEqual(counters(), [1, 5, 10]);
  catalog.apply(edit({ replicas: count(3) }));
  assert.deepEqual(counters(), [1, 5, 15]);
  catalog.apply(remove());
  assert.deepEqual(counters(), [0, 0, 0]);
});

test("Decisions: the same command on the same catalog gives the same bytes, and the catalog is left alone", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2]));
  const rows = new Map(catalog.rows);
  const decisions = [1, 2].map(() => decide(catalog, { ...at(logIndex(50)), command: deposit("y", 2, [n1]) }));
  assert.deepEqual(decisions[0], decisions[1]);
  assert.deepEqual(catalog.rows, rows);
});
