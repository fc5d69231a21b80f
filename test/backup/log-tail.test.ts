import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { withLogTail } from "../../node/backup/log-tail.ts";
import { logIndex, newClientId, term } from "../../node/base/ids.ts";
import { applyEntries, readMeta } from "../../node/catalog/apply.ts";
import { readClient } from "../../node/catalog/tables.ts";
import type { LogStore } from "../../node/storage/types.ts";
import { deposit, nodes, remove, TestCatalog } from "../catalog/fixture.ts";
import { commandEntry, groupOf, registerClient, temporaryFolder, withDisk } from "../replication/support/node-disk.ts";
import { MapCatalog } from "../support/map-catalog.ts";
import { backupOf, catalogWith, contentOf, rowsOf } from "./support.ts";

/** A log of nothing but these entries. */
function logOf(entries: ReturnType<typeof commandEntry>[]): LogStore {
  return {
    read: async (from: number, maxBytes: number) =>
      entries.filter(({ index }) => index >= from).slice(0, Math.max(1, maxBytes >> 18)),
  } as Partial<LogStore> as LogStore;
}

describe("the catalog of a node that does not run", () => {
  test("shows what its log has beyond it, and the disk stays as it is", async (t) => {
    const clientId = newClientId();
    await withDisk(join(temporaryFolder(t), "n1"), groupOf("n1"), async ({ catalog, log }) => {
      const entries = [commandEntry(2), commandEntry(3, registerClient(clientId)), commandEntry(4)];
      await log.persist({ hardState: { term: term(1), votedFor: undefined }, append: entries });
      await catalog.write(applyEntries(catalog, readMeta(catalog), entries.slice(0, 1)).writes, { sync: true });
      const tail = await withLogTail(catalog, log);
      assert.equal(readMeta(tail).applied.index, 4);
      assert.ok(readClient(tail, clientId));
      const { header, catalog: restored } = await contentOf(await backupOf(tail));
      assert.equal(header.applied.index, 4);
      assert.ok(readClient(restored, clientId));
      assert.equal(readMeta(catalog).applied.index, 2);
    });
  });

  test("with an empty rest of the log is the catalog as it is", async () => {
    const { catalog } = catalogWith(5);
    assert.deepEqual(await rowsOf(await withLogTail(catalog, logOf([]))), await rowsOf(catalog));
  });

  test("does not show what the rest of its log removes", async () => {
    const founded = new TestCatalog();
    for (let at = 0; at < 40; at += 1) founded.apply(deposit(`bytes ${at}`, at + 1, nodes(2), { name: `f${at}` }));
    const catalog = new MapCatalog();
    catalog.write([...founded.rows.values()]);
    const entries = [];
    for (let at = 0; at < 40; at += 2) {
      entries.push(founded.entry(remove({ name: `f${at}` })));
      founded.apply(remove({ name: `f${at}` }));
    }
    const tail = await withLogTail(catalog, logOf(entries));
    const pages = [];
    for (const limit of [3, 1000]) {
      const rows = [];
      for (let from: Uint8Array = Buffer.of(0x30); ; ) {
        const page = await tail.range({ from, before: Buffer.of(0x31), limit });
        rows.push(...page);
        const last = page.at(-1);
        if (last === undefined || page.length < limit) break;
        from = Buffer.concat([last.key, Buffer.of(0)]);
      }
      pages.push(rows);
    }
    assert.equal(pages[0]?.length, 20);
    assert.deepEqual(pages[0], pages[1]);
  });

  test("is read in pages that hold changed and new rows, each once and in order", async () => {
    const { catalog, meta } = catalogWith(600);
    const entries = Array.from({ length: 500 }, (_, at) => commandEntry(meta.applied.index + 1 + at));
    const expected = new MapCatalog();
    expected.write(await rowsOf(catalog));
    expected.write(applyEntries(catalog, meta, entries).writes);
    const tail = await withLogTail(catalog, logOf(entries));
    assert.equal(readMeta(tail).applied.index, logIndex(meta.applied.index + 500));
    const bounds = { from: Buffer.of(0), before: Buffer.of(0xff) };
    for (const limit of [1, 7, 256]) {
      const rows = [];
      for (let from: Uint8Array = bounds.from; ; ) {
        const page = await tail.range({ ...bounds, from, limit });
        assert.ok(page.length <= limit);
        rows.push(...page);
        const last = page.at(-1);
        if (last === undefined || page.length < limit) break;
        from = Buffer.concat([last.key, Buffer.of(0)]);
      }
      assert.deepEqual(rows, await rowsOf(expected), `pages of ${limit}`);
    }
  });
});
