/** What must be true of every catalog, recomputed from its rows alone. */
import assert from "node:assert/strict";
import type { NodeId } from "../../node/base/ids.ts";
import { recentOutcome } from "../../node/catalog/apply.ts";
import { DigestAccumulator, digestHex } from "../../node/catalog/digest.ts";
import { clientRange, fileRange, type KeyRange } from "../../node/catalog/keys.ts";
import { clientOfRow, fileOfRow, holderOfRow, readMembers } from "../../node/catalog/tables.ts";
import { addTotals, noTotals, totalsOf } from "../../node/catalog/totals.ts";
import type { ClientRecord, FileRecord, HolderRow } from "../../node/catalog/types.ts";
import type { TestCatalog } from "./fixture.ts";

export function checkCatalog(catalog: TestCatalog): void {
  checkDigest(catalog);
  const files = allFiles(catalog);
  checkCounters(catalog, files);
  checkHolders(catalog, files);
  checkRecentCommands(catalog);
}

export function allFiles(catalog: TestCatalog): readonly FileRecord[] {
  return allClients(catalog).flatMap(({ clientId }) =>
    catalog.range(fileRange(clientId, "", undefined)).map(fileOfRow),
  );
}

export function allHolderRows(catalog: TestCatalog): readonly HolderRow[] {
  return catalog.range({ from: Buffer.of(0x40), before: Buffer.of(0x41) }).map(holderOfRow);
}

function allClients(catalog: TestCatalog): readonly ClientRecord[] {
  return catalog.range(clientRange(undefined)).map(clientOfRow);
}

function checkDigest(catalog: TestCatalog): void {
  const digest = new DigestAccumulator();
  const uncounted = [...catalog.rows.values()].filter(({ key, value }) => !digest.add(key, value));
  assert.equal(uncounted.length, 1, "only the meta row is left out");
  assert.equal(digestHex(digest.value), digestHex(catalog.meta.digest));
}

function checkCounters(catalog: TestCatalog, files: readonly FileRecord[]): void {
  let totals = noTotals;
  for (const file of files) totals = addTotals(totals, totalsOf(file), 1);
  assert.deepEqual(catalog.meta.totals, totals);
  for (const client of allClients(catalog)) {
    const own = files.filter(({ clientId }) => clientId === client.clientId);
    assert.equal(client.files, own.length);
    assert.equal(client.bytes, sum(own.map(({ blob }) => blob.sizeBytes)));
    assert.equal(client.replicaBytes, sum(own.map(({ blob, replicas }) => blob.sizeBytes * replicas)));
  }
}

function checkHolders(catalog: TestCatalog, files: readonly FileRecord[]): void {
  const expected = files.flatMap(({ blob, clientId, name, holders }) =>
    holders.map(({ node, state }) => ({ node, blob, clientId, name, state })),
  );
  const alive = allHolderRows(catalog).filter(({ state }) => state !== "doomed");
  assert.deepEqual(
    alive.toSorted(byRow),
    expected.toSorted(byRow),
    "each holder has its row, each living row its holder",
  );
  const members = readMembers(catalog);
  const isStoring = ({ node }: { readonly node: NodeId }) =>
    members.some(({ id, state }) => id === node && state === "member");
  for (const { holders, replicas } of files)
    assert.ok(holders.filter(isStoring).length <= replicas, "more holders than wanted");
  for (const { node } of [...alive, ...allHolderRows(catalog)])
    assert.ok(
      members.some(({ id }) => id === node),
      `a row of ${node}, which is no member`,
    );
}

function checkRecentCommands(catalog: TestCatalog): void {
  const ofTable = (table: number): KeyRange => ({ from: Buffer.of(table), before: Buffer.of(table + 1) });
  const byId = catalog.range(ofTable(0x50));
  const byIndex = catalog.range(ofTable(0x60));
  assert.equal(byId.length, byIndex.length);
  for (const { key } of byId) {
    const hex = Buffer.from(key)
      .toString("hex", 1)
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    assert.ok(recentOutcome(catalog, hex as never), hex);
  }
}

function byRow(a: HolderRow, b: HolderRow): number {
  const [keyA, keyB] = [`${a.node} ${a.blob.blobId}`, `${b.node} ${b.blob.blobId}`];
  return keyA < keyB ? -1 : keyA > keyB ? 1 : 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
