import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../node/base/errors.ts";
import { type CommandId, logIndex, type NodeId, term } from "../../node/base/ids.ts";
import { applyEntries, foundingWrites, readMeta, recentOutcome } from "../../node/catalog/apply.ts";
import { keyText } from "../../node/catalog/keys.ts";
import { commandWindowEntries } from "../../node/catalog/limits.ts";
import { readMembers } from "../../node/catalog/tables.ts";
import type { Match, Preconditions } from "../../node/catalog/types.ts";
import { encodeConfiguration } from "../../node/raft/configuration.ts";
import type { Entry } from "../../node/raft/types.ts";
import { checkCatalog } from "./checker.ts";
import {
  ann,
  count,
  deposit,
  edit,
  founding,
  holdersText,
  id,
  made,
  nodes,
  noPreconditions,
  onlyOne,
  refusal,
  remove,
  report,
  TestCatalog,
} from "./fixture.ts";

const [n1, n2, n3] = nodes(3) as [NodeId, NodeId, NodeId];
const retried = id<CommandId>(42);
const createOnly: Preconditions = { ...noPreconditions, ifNoneMatch: { type: "any" } satisfies Match };

test("Founding: every seed writes the same catalog, whatever the order of the roster", () => {
  const [straight, turned] = [founding([n1, n2, n3], [n2]), founding([n1, n2, n3], [n2])];
  const { writes, meta } = foundingWrites(straight);
  assert.deepEqual(foundingWrites({ ...turned, members: turned.members.toReversed() }).writes, writes);
  assert.deepEqual(meta.applied, { index: 1, term: 1 });
  assert.deepEqual(meta.configuration, { voters: [n1, n3], outgoing: [], learners: [n2], learnersNext: [] });
});

test("Founding: the founded catalog reads back its meta row and members, and its digest is right", () => {
  const catalog = new TestCatalog(founding([n1, n2, n3]), []);
  assert.deepEqual(readMeta(catalog), catalog.meta);
  const standing = { state: "member", life: 1, sweptUpTo: 0 };
  assert.deepEqual(
    readMembers(catalog),
    founding([n1, n2, n3]).members.map((facts) => ({ ...facts, ...standing })),
  );
  checkCatalog(catalog);
});

test("Meta: a catalog without it is damaged, and so is one whose meta row was cut", () => {
  const damaged = (error: unknown): boolean => hasCode(error, "catalog-damaged");
  assert.throws(() => readMeta({ get: () => undefined }), damaged);
  assert.throws(() => readMeta({ get: () => Buffer.of(0x90) }), damaged);
});

test("Apply: what is returned is everything: each key once, the meta row among them, the view left alone", () => {
  const catalog = new TestCatalog();
  const before = new Map(catalog.rows);
  const first = catalog.entry(deposit("x", 1, [n1, n2]));
  const second = { ...catalog.entry(deposit("y", 2, [n1, n2])), index: logIndex(first.index + 1) };
  const { writes, meta } = applyEntries(catalog, catalog.meta, [first, second]);
  assert.deepEqual(catalog.rows, before);
  assert.equal(new Set(writes.map(({ key }) => keyText(key))).size, writes.length);
  catalog.write(writes);
  assert.deepEqual(readMeta(catalog), meta);
  assert.equal(meta.applied.index, second.index);
});

test("Apply: a later entry of a batch sees what an earlier one did", () => {
  const catalog = new TestCatalog();
  const first = catalog.entry(deposit("x", 1, [n1], { preconditions: createOnly }));
  const second = {
    ...catalog.entry(deposit("y", 2, [n1], { preconditions: createOnly })),
    index: logIndex(first.index + 1),
  };
  const { results } = catalog.applyEntries([first, second]);
  assert.deepEqual(
    results.map(({ index, outcome }) => [index, outcome.type]),
    [
      [first.index, "deposited"],
      [second.index, "refused"],
    ],
  );
});

test("Apply: no-ops move the position and nothing else", () => {
  const catalog = new TestCatalog();
  const { digest, totals } = catalog.meta;
  const noop: Entry = { index: catalog.next, term: term(3), kind: "noop", data: new Uint8Array() };
  const { writes, results } = catalog.applyEntries([noop]);
  assert.equal(writes.length, 1);
  assert.deepEqual(results, []);
  assert.deepEqual([catalog.meta.digest, catalog.meta.totals], [digest, totals]);
  assert.deepEqual(catalog.meta.applied, { index: noop.index, term: 3 });
});

test("Apply: a configuration entry becomes the catalog's configuration", () => {
  const catalog = new TestCatalog();
  const configuration = { voters: [n1, n2], outgoing: [n1, n2, n3], learners: [], learnersNext: [n3] };
  const data = encodeConfiguration(configuration);
  catalog.applyEntries([{ index: catalog.next, term: term(1), kind: "configuration", data }]);
  assert.deepEqual(readMeta(catalog).configuration, configuration);
});

test("Apply: a gap, a term that falls and a command that does not decode are bugs", () => {
  const catalog = new TestCatalog();
  const good = catalog.entry(deposit("x", 1, [n1]));
  const bad: readonly Entry[] = [
    { ...good, index: logIndex(good.index + 1) },
    { ...good, index: logIndex(good.index - 1) },
    { ...good, term: term(0) },
    { ...good, data: good.data.slice(1) },
  ];
  for (const entry of bad) assert.throws(() => catalog.applyEntries([entry]), { name: "InvariantError" });
  assert.equal(onlyOne(catalog.applyEntries([good]).results).outcome.type, "deposited");
});

test("Owner rows: missing and doomed replicas are told as they are at the end of the batch", () => {
  const catalog = new TestCatalog();
  const commands = [
    deposit("x", 1, [n1], { replicas: count(3) }), // n2 and n3 are missing
    made(n2, 1, 9), // n2 is present: no work
    deposit("y", 2, [n3], { replicas: count(1) }), // blob 1 is doomed everywhere
    report(n3, 1, "dropped"), // n3 has done that already
  ];
  const first = catalog.next;
  const entries = commands.map((command, i) => ({ ...catalog.entry(command), index: logIndex(first + i) }));
  const { ownerRows } = catalog.applyEntries(entries);
  const byNode = ownerRows.toSorted((a, b) => (a.node < b.node ? -1 : 1));
  assert.deepEqual(
    byNode.map(({ node, blob, state }) => [node, blob.blobId, state]),
    [
      [n1, id(1), "doomed"],
      [n2, id(1), "doomed"],
    ],
  );
});

test("Exactly once: a duplicate answers the recorded outcome and changes nothing but the position", () => {
  const catalog = new TestCatalog();
  const basis = catalog.meta.applied.index;
  const command = deposit("x", 1, [n1, n2], { preconditions: createOnly });
  const [first] = catalog.applyEntries([catalog.entry(command, retried, basis)]).results;
  catalog.apply(edit({ replicas: count(1) }));
  const { digest, totals } = catalog.meta;
  const [second] = catalog.applyEntries([catalog.entry(command, retried, basis)]).results;
  assert.equal(first?.outcome.type, "deposited");
  assert.deepEqual(second?.outcome, first?.outcome);
  assert.deepEqual([catalog.meta.digest, catalog.meta.totals], [digest, totals]);
  assert.equal(holdersText(catalog.file()), "n1");
});

test("Exactly once: a duplicate in the same batch counts once", () => {
  const catalog = new TestCatalog();
  const entry = catalog.entry(deposit("x", 1, [n1, n2], { preconditions: createOnly }), retried);
  const { results, meta } = catalog.applyEntries([entry, { ...entry, index: logIndex(entry.index + 1) }]);
  assert.deepEqual(results[1]?.outcome, results[0]?.outcome);
  assert.equal(meta.totals.files, 1);
});

test("Exactly once: a removal that is retried after the file came back removes nothing", () => {
  const catalog = new TestCatalog();
  catalog.deposited(deposit("x", 1, [n1, n2]));
  const removal = catalog.entry(remove(), retried);
  catalog.applyEntries([removal]);
  catalog.deposited(deposit("y", 2, [n1, n2]));
  const { results } = catalog.applyEntries([{ ...removal, index: catalog.next }]);
  assert.deepEqual(onlyOne(results).outcome, { type: "done" });
  assert.ok(catalog.file());
});

test("Exactly once: a refusal is recorded too, so a retry is refused even when it would go through by now", () => {
  const catalog = new TestCatalog();
  const removal = catalog.entry(remove(), retried);
  catalog.applyEntries([removal]);
  catalog.deposited(deposit("x", 1, [n1, n2]));
  const { results } = catalog.applyEntries([{ ...removal, index: catalog.next }]);
  assert.equal(refusal(onlyOne(results).outcome), "file-not-found");
});

test("Exactly once: recentOutcome tells what a command answered, and nothing of others", () => {
  const catalog = new TestCatalog();
  const { results } = catalog.applyEntries([catalog.entry(deposit("x", 1, [n1, n2]), retried)]);
  assert.deepEqual(recentOutcome(catalog, retried), onlyOne(results).outcome);
  assert.equal(recentOutcome(catalog, id<CommandId>(43)), undefined);
});

test("Window: a duplicate finds its outcome up to a window after its basis, and is expired one entry later", () => {
  const catalog = new TestCatalog();
  const basis = catalog.meta.applied.index;
  const command = deposit("x", 1, [n1, n2], { preconditions: createOnly });
  catalog.applyEntries([catalog.entry(command, retried, basis)]);
  assert.equal(catalog.file()?.version, basis + 1, "the worst case: applied right after its basis");
  catalog.noops(basis + commandWindowEntries - 1 - catalog.meta.applied.index);
  const outcomes = [1, 2].map(
    () => onlyOne(catalog.applyEntries([catalog.entry(command, retried, basis)]).results).outcome,
  );
  assert.equal(catalog.meta.applied.index, basis + commandWindowEntries + 1);
  assert.equal(outcomes[0]?.type, "deposited");
  assert.ok(outcomes[1]);
  assert.equal(refusal(outcomes[1]), "expired");
  assert.equal(recentOutcome(catalog, retried), undefined, "it has left the window");
  assert.equal(catalog.meta.totals.files, 1);
  checkCatalog(catalog);
});

test("Window: a first attempt that comes too late is expired, leaves no trace, and can be proposed anew", () => {
  const catalog = new TestCatalog();
  const basis = catalog.meta.applied.index;
  catalog.noops(commandWindowEntries);
  const late = catalog.applyEntries([catalog.entry(deposit("x", 1, [n1, n2]), retried, basis)]);
  assert.equal(refusal(onlyOne(late.results).outcome), "expired");
  assert.equal(late.writes.length, 1, "only the meta row");
  assert.equal(catalog.deposited(deposit("x", 1, [n1, n2])).how, "created");
});

test("Window: a basis that is not before its entry is expired", () => {
  const catalog = new TestCatalog();
  const entry = catalog.entry(deposit("x", 1, [n1, n2]), retried, catalog.next);
  assert.equal(refusal(onlyOne(catalog.applyEntries([entry]).results).outcome), "expired");
});

test("Window: exactly the commands of the last window are remembered", () => {
  const catalog = new TestCatalog(founding([n1, n2, n3]), [ann]); // ann's registration is entry 2
  catalog.applyEntries([catalog.entry(deposit("x", 1, [n1, n2]), retried)]); // entry 3
  catalog.noops(commandWindowEntries + 2 - catalog.meta.applied.index);
  const rowsOf = (table: number): number =>
    catalog.range({ from: Buffer.of(table), before: Buffer.of(table + 1) }).length;
  assert.deepEqual([rowsOf(0x50), rowsOf(0x60)], [1, 1], "entry 2 is forgotten");
  assert.ok(recentOutcome(catalog, retried));
  catalog.noops(1);
  assert.deepEqual([rowsOf(0x50), rowsOf(0x60)], [0, 0]);
});
