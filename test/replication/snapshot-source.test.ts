import assert from "node:assert/strict";
import { test } from "node:test";
import { systemChance } from "../../node/base/chance.ts";
import type { Clock } from "../../node/base/clock.ts";
import { DepositoError, hasCode } from "../../node/base/errors.ts";
import type { NodeId } from "../../node/base/ids.ts";
import { foundingWrites } from "../../node/catalog/apply.ts";
import { SnapshotServer } from "../../node/replication/snapshot-source.ts";
import type { CatalogSnapshot, CatalogStore } from "../../node/storage/types.ts";
import type { SnapshotChunk, SnapshotCursor } from "../../node/transport/types.ts";
import { groupOf } from "./support/node-disk.ts";

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const [n2, n3, n4, n5] = ["n2", "n3", "n4", "n5"] as [NodeId, NodeId, NodeId, NodeId];
const metaRow = foundingWrites(groupOf("n1")).writes.find(({ key }) => key[0] === 0xf0) as Row;

/** A catalog in memory, whose snapshots are frozen copies. */
class MemoryCatalog {
  rows: Row[] = [];
  open = 0;
  /** Awaited before each page is read. */
  beforeRange: () => Promise<void> = async () => {};

  constructor(count: number, valueBytes: number) {
    for (let at = 0; at < count; at += 1) {
      const key = Buffer.alloc(5, 0x30);
      key.writeUInt32BE(at, 1);
      this.rows.push({ key, value: Buffer.alloc(valueBytes, at) });
    }
    this.rows.push(metaRow);
  }

  get store(): CatalogStore {
    return { snapshot: () => this.#snapshot() } as Partial<CatalogStore> as CatalogStore;
  }

  #snapshot(): CatalogSnapshot {
    const frozen = [...this.rows];
    this.open += 1;
    return {
      get: (wanted) => frozen.find(({ key }) => Buffer.compare(key, wanted) === 0)?.value,
      range: async ({ from, before, limit }) => {
        await this.beforeRange();
        const within = ({ key }: Row) => Buffer.compare(key, from) >= 0 && Buffer.compare(key, before) < 0;
        return frozen.filter(within).slice(0, limit);
      },
      close: async () => {
        this.open -= 1;
      },
    };
  }
}

/** A clock that a test moves. */
class ManualClock implements Clock {
  #nowMs = 0;
  #tasks: { readonly atMs: number; readonly task: () => void }[] = [];

  monotonicMs = () => this.#nowMs;
  wallMs = () => this.#nowMs;

  after(delayMs: number, task: () => void): () => void {
    const entry = { atMs: this.#nowMs + delayMs, task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((each) => each !== entry);
    };
  }

  soon(task: () => void): void {
    setImmediate(task);
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    const due = this.#tasks.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#tasks = this.#tasks.filter((each) => !due.includes(each));
    for (const { task } of due) task();
  }
}

function serve(catalog: MemoryCatalog) {
  const clock = new ManualClock();
  const sent: SnapshotChunk[] = [];
  const onChunk = (chunk: SnapshotChunk) => sent.push(chunk);
  return {
    clock,
    sent,
    server: new SnapshotServer({ store: () => catalog.store, clock, chance: systemChance, onChunk }),
  };
}

function cursorAfter(chunk: SnapshotChunk): SnapshotCursor {
  const last = chunk.rows.at(-1);
  assert.ok(last);
  return { session: chunk.session, after: last.key };
}

test("Snapshots: chunks of about 1 MiB bring every row once, in key order, the meta row last", async () => {
  const catalog = new MemoryCatalog(3_000, 1_000);
  const { server } = serve(catalog);
  const chunks = [await server.chunk(n2, undefined)];
  for (let chunk = chunks[0]; chunk !== undefined && !chunk.last; ) {
    chunk = await server.chunk(n2, cursorAfter(chunk));
    chunks.push(chunk);
  }
  assert.equal(chunks.length, 3);
  assert.equal(new Set(chunks.map(({ session }) => session)).size, 1);
  assert.deepEqual(
    chunks.flatMap(({ rows }) => rows),
    catalog.rows,
  );
});

test("Snapshots: a chunk asked for again is the same, though the catalog went on", async () => {
  const catalog = new MemoryCatalog(3_000, 1_000);
  const { server } = serve(catalog);
  const first = await server.chunk(n2, undefined);
  const second = await server.chunk(n2, cursorAfter(first));
  catalog.rows = [];
  assert.deepEqual(await server.chunk(n2, cursorAfter(first)), second);
});

test("Snapshots: an unknown session begins anew from the start, under another name", async () => {
  const catalog = new MemoryCatalog(10, 10);
  const { server } = serve(catalog);
  const chunk = await server.chunk(n2, { session: "ff".repeat(16), after: Buffer.of(0x90) });
  assert.notEqual(chunk.session, "ff".repeat(16));
  assert.equal(chunk.rows.length, 11);
});

test("Snapshots: an empty rest is the last chunk", async () => {
  const catalog = new MemoryCatalog(10, 10);
  const { server } = serve(catalog);
  const chunk = await server.chunk(n2, cursorAfter(await server.chunk(n2, undefined)));
  assert.deepEqual([chunk.rows.length, chunk.last], [0, true]);
});

test("Snapshots: at most two views are open; a third is refused until one was quiet for a while", async () => {
  const catalog = new MemoryCatalog(10, 10);
  const { clock, server } = serve(catalog);
  const first = await server.chunk(n2, undefined);
  await server.chunk(n3, undefined);
  await assert.rejects(server.chunk(n4, undefined), (error) => hasCode(error, "node-busy"));
  clock.advance(3_000);
  await server.chunk(n2, cursorAfter(first));
  clock.advance(3_000);
  await server.chunk(n4, undefined); // in place of the second, which nobody asked for in 6 s
  assert.equal(catalog.open, 2);
  assert.equal((await server.chunk(n2, cursorAfter(first))).session, first.session);
});

test("Snapshots: a peer that begins anew gives up its former session, so that it stands in nobody's way", async () => {
  const catalog = new MemoryCatalog(10, 10);
  const { server } = serve(catalog);
  const first = await server.chunk(n2, undefined);
  const second = await server.chunk(n2, undefined);
  await server.chunk(n3, undefined);
  assert.equal(catalog.open, 2);
  assert.notEqual((await server.chunk(n2, cursorAfter(first))).session, first.session);
  assert.notEqual((await server.chunk(n2, cursorAfter(second))).session, second.session);
});

test("Snapshots: two who begin at once do not open a third view", async () => {
  const catalog = new MemoryCatalog(10, 10);
  const { clock, server } = serve(catalog);
  await server.chunk(n2, undefined);
  await server.chunk(n3, undefined);
  clock.advance(6_000);
  await Promise.all([server.chunk(n4, undefined), server.chunk(n5, undefined)]);
  assert.equal(catalog.open, 2);
});

test("Snapshots: a session that nobody asks for is closed after a minute", async () => {
  const catalog = new MemoryCatalog(10, 10);
  const { clock, server } = serve(catalog);
  const chunk = await server.chunk(n2, undefined);
  clock.advance(59_000);
  await server.chunk(n2, cursorAfter(chunk));
  clock.advance(59_000);
  assert.equal(catalog.open, 1);
  clock.advance(1_000);
  assert.equal(catalog.open, 0);
});

test("Snapshots: a view that fails is closed, and the failure told", async () => {
  const catalog = new MemoryCatalog(10, 10);
  const { server } = serve(catalog);
  catalog.beforeRange = async () => {
    throw new DepositoError("catalog-damaged", "a wrong checksum");
  };
  await assert.rejects(server.chunk(n2, undefined), (error) => hasCode(error, "catalog-damaged"));
  assert.equal(catalog.open, 0);
});

test("Snapshots: closing the server closes every view", async () => {
  const catalog = new MemoryCatalog(10, 10);
  const { server } = serve(catalog);
  await server.chunk(n2, undefined);
  await server.close();
  assert.equal(catalog.open, 0);
});

test("Snapshots: every chunk says what the view shows, and whoever pulls it will need the log after that", async () => {
  const catalog = new MemoryCatalog(3_000, 1_000);
  const { clock, server, sent } = serve(catalog);
  assert.deepEqual(server.holders, []);
  const first = await server.chunk(n2, undefined);
  const second = await server.chunk(n2, cursorAfter(first));
  assert.deepEqual([first.applied, second.applied], [1, 1]);
  assert.deepEqual(sent, [first, second]);
  assert.deepEqual(server.holders, [{ attempt: first.session, after: 1 }]);
  clock.advance(60_000);
  assert.deepEqual(server.holders, []);
});

test("Snapshots: a view without a meta row is closed and served to nobody", async () => {
  const catalog = new MemoryCatalog(1, 10);
  catalog.rows.pop();
  const { server } = serve(catalog);
  await assert.rejects(server.chunk(n2, undefined), (error) => hasCode(error, "catalog-damaged"));
  assert.deepEqual([catalog.open, server.holders], [0, []]);
});
