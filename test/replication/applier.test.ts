import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { systemClock } from "../../node/base/clock.ts";
import { DepositoError, hasCode } from "../../node/base/errors.ts";
import { logIndex, newClientId, newCommandId, term } from "../../node/base/ids.ts";
import { applyEntries, readMeta } from "../../node/catalog/apply.ts";
import { readClient } from "../../node/catalog/tables.ts";
import type { Entry, LogPosition } from "../../node/raft/types.ts";
import { type AppliedBatch, Applier } from "../../node/replication/applier.ts";
import { Checkpoints } from "../../node/replication/checkpoints.ts";
import { LogRetention } from "../../node/replication/log-retention.ts";
import type { PulledSnapshot } from "../../node/replication/snapshot-install.ts";
import type { CatalogStore, OpenedStores } from "../../node/storage/types.ts";
import {
  commandEntries,
  commandEntry,
  groupOf,
  registerClient,
  temporaryFolder,
  withDisk,
} from "./support/node-disk.ts";

interface Bench {
  readonly applier: Applier;
  readonly catalog: CatalogStore;
  readonly stores: OpenedStores;
  readonly checkpoints: Checkpoints;
  readonly batches: AppliedBatch[];
  readonly replaced: number[];
  readonly durable: LogPosition[];
  /** Entries of each write that was told. */
  readonly written: number[];
  readonly fatal: unknown[];
  /** Called with each batch. */
  hook: (batch: AppliedBatch) => void;
  /** Somebody needs the log from its beginning. */
  isHeld: boolean;
  /** Resolves once everything up to `index` is applied. */
  until(index: number): Promise<void>;
}

/** An applier on a real catalog. `wrap` stands between the two. */
function bench(
  scope: TestContext,
  work: (bench: Bench) => Promise<void>,
  wrap: (catalog: CatalogStore) => CatalogStore = (catalog) => catalog,
): Promise<void> {
  return withDisk(join(temporaryFolder(scope), "n1"), groupOf("n1"), async (stores) => {
    const checkpoints = new Checkpoints(4);
    const waiting: { readonly index: number; readonly resolve: () => void }[] = [];
    const settle = () => {
      for (const each of waiting) if (applier.meta.applied.index >= each.index) each.resolve();
    };
    const parts = {
      stores,
      checkpoints,
      catalog: stores.catalog,
      batches: [] as AppliedBatch[],
      replaced: [] as number[],
      durable: [] as LogPosition[],
      written: [] as number[],
      fatal: [] as unknown[],
      hook: (_batch: AppliedBatch): void => undefined,
      isHeld: false,
    };
    const applier = new Applier({
      clock: systemClock,
      catalog: wrap(stores.catalog),
      checkpoints,
      onApplied: (batch) => {
        parts.batches.push(batch);
        parts.hook(batch);
        settle();
      },
      onReplaced: (meta) => {
        parts.replaced.push(meta.applied.index);
        settle();
      },
      onWritten: (_durationMs, entries) => parts.written.push(entries),
      onTrimmable: (through) => parts.durable.push(through),
      retention: new LogRetention({
        clock: systemClock,
        keepEntries: 4,
        maxHeldEntries: 1000,
        maxHeldBytes: 1 << 20,
        maxHeldMs: 60_000,
        holders: () => (parts.isHeld ? [{ attempt: "one", after: logIndex(0) }] : []),
      }),
      onFatal: (error) => {
        parts.fatal.push(error);
        for (const each of waiting) each.resolve();
      },
      syncEveryEntries: 8,
      maxUnappliedEntries: 1000,
      maxUnappliedBytes: 1 << 20,
    });
    const until = (index: number) =>
      new Promise<void>((resolve) => {
        waiting.push({ index, resolve });
        settle();
      });
    await work(Object.assign(parts, { applier, until }));
    await applier.stop();
  });
}

/** A catalog at `last`, made by another applier, as if it was pulled. */
async function pulledAt(
  bench: Bench,
  last: number,
  entries: readonly Entry[],
): Promise<PulledSnapshot & { cancelled: boolean }> {
  const installer = await bench.stores.installCatalog();
  const { writes, meta } = applyEntries(bench.catalog, readMeta(bench.catalog), entries.slice(0, last - 1));
  for (const row of await bench.catalog.range({ from: Buffer.of(0), before: Buffer.of(0xff), limit: 1000 }))
    await installer.write([row]);
  await installer.write(writes);
  const pulled = {
    meta,
    cancelled: false,
    complete: () => installer.complete(),
    cancel: async () => {
      pulled.cancelled = true;
      await installer.cancel();
    },
  };
  return pulled;
}

describe("applier", () => {
  test("entries are applied in order, never across a checkpoint, and each is told after the catalog shows it", async (t) => {
    await bench(t, async (b) => {
      const clientId = newClientId();
      const id = newCommandId();
      b.hook = ({ applied }) => assert.equal(readMeta(b.applier.catalog).applied.index, applied);
      b.applier.enqueue([commandEntry(2, registerClient(clientId), id), ...commandEntries(3, 10)]);
      await b.until(10);
      assert.deepEqual(
        b.batches.map(({ applied }) => applied),
        [4, 8, 10],
      );
      assert.deepEqual(b.batches[0]?.results[0]?.id, id);
      assert.ok(readClient(b.applier.catalog, clientId));
      assert.equal(b.checkpoints.latest?.index, 8);
    });
  });

  test("what is queued in the very turn in which an apply ends is applied, too", async (t) => {
    await bench(t, async (b) => {
      b.hook = ({ applied }) => {
        if (applied === 2) queueMicrotask(() => b.applier.enqueue([commandEntry(3)]));
      };
      b.applier.enqueue([commandEntry(2)]);
      await b.until(3);
    });
  });

  test("the catalog is synced now and then, and the log trimmed as far as that goes, less what is kept", async (t) => {
    const syncs: boolean[] = [];
    const watch = (catalog: CatalogStore): CatalogStore => ({
      get: (key) => catalog.get(key),
      range: (bounds) => catalog.range(bounds),
      snapshot: () => catalog.snapshot(),
      write: (writes, options) => {
        syncs.push(options.sync);
        return catalog.write(writes, options);
      },
    });
    await bench(
      t,
      async (b) => {
        b.applier.enqueue(commandEntries(2, 12));
        await b.until(12);
        assert.deepEqual(syncs, [false, false, true]);
        assert.deepEqual(b.durable, [{ index: 8, term: 1 }]);
      },
      watch,
    );
  });

  test("the log is not trimmed while it must be kept; the next time makes up for it", async (t) => {
    await bench(t, async (b) => {
      b.isHeld = true;
      b.applier.enqueue(commandEntries(2, 12));
      await b.until(12);
      assert.deepEqual(b.durable, []);
      b.isHeld = false;
      b.applier.enqueue(commandEntries(13, 20));
      await b.until(20);
      assert.deepEqual(b.durable, [{ index: 16, term: 1 }]);
    });
  });

  test("a gap is a bug and ends the process; nothing is applied afterwards", async (t) => {
    await bench(t, async (b) => {
      b.applier.enqueue([commandEntry(3)]);
      await b.until(3);
      assert.equal((b.fatal[0] as Error).name, "InvariantError");
      b.applier.enqueue([commandEntry(2)]);
      await b.applier.stop();
      assert.equal(b.applier.meta.applied.index, 1);
    });
  });

  test("a write that fails ends the process, and its outcomes are told to nobody", async (t) => {
    const failure = new DepositoError("storage-failed", "no space left");
    const failing = (catalog: CatalogStore): CatalogStore => ({
      get: (key) => catalog.get(key),
      range: (bounds) => catalog.range(bounds),
      snapshot: () => catalog.snapshot(),
      write: () => Promise.reject(failure),
    });
    await bench(
      t,
      async (b) => {
        b.applier.enqueue([commandEntry(2)]);
        await b.until(2);
        assert.deepEqual([b.fatal, b.batches], [[failure], []]);
      },
      failing,
    );
  });
});

describe("applier: another catalog takes the place", () => {
  test("queued entries that it covers are skipped, later ones follow on it", async (t) => {
    await bench(t, async (b) => {
      const entries = commandEntries(2, 12);
      const pulled = await pulledAt(b, 9, entries);
      const replaced = b.applier.replaceCatalog(pulled);
      assert.equal(b.applier.isReplacing, true);
      assert.throws(
        () => b.applier.catalog,
        (error) => hasCode(error, "no-quorum"),
      );
      b.applier.enqueue(entries); // handed out meanwhile
      await replaced;
      assert.equal(b.applier.isReplacing, false);
      await b.until(12);
      assert.deepEqual([b.replaced, b.batches.map(({ applied }) => applied)], [[9], [12]]);
      assert.equal(readMeta(b.applier.catalog).totals.files, 0);
    });
  });

  test("an apply under way ends first; the core hears of the new catalog before anything is applied to it", async (t) => {
    await bench(t, async (b) => {
      const entries = commandEntries(2, 12);
      const pulled = await pulledAt(b, 9, entries);
      b.applier.enqueue(entries.slice(0, 2));
      const replaced = b.applier.replaceCatalog(pulled);
      await replaced;
      assert.deepEqual(b.replaced, [9]);
      assert.deepEqual(b.batches[0]?.applied, 3);
    });
  });

  test("a snapshot that the log has overtaken meanwhile is dropped, and the former catalog stays", async (t) => {
    await bench(t, async (b) => {
      const entries = commandEntries(2, 12);
      const pulled = await pulledAt(b, 5, entries);
      b.applier.enqueue(entries.slice(0, 9));
      await b.until(10);
      await b.applier.replaceCatalog(pulled);
      assert.deepEqual([pulled.cancelled, b.replaced, b.fatal], [true, [], []]);
      b.applier.enqueue(entries.slice(9));
      await b.until(12);
    });
  });

  test("nothing is put in place on a node that stops or has failed", async (t) => {
    await bench(t, async (b) => {
      const pulled = await pulledAt(b, 5, commandEntries(2, 5));
      await b.applier.stop();
      await b.applier.replaceCatalog(pulled);
      assert.deepEqual([pulled.cancelled, b.replaced], [true, []]);
    });
  });

  test("a catalog that is not the one that was pulled is a bug", async (t) => {
    await bench(t, async (b) => {
      const pulled = await pulledAt(b, 5, commandEntries(2, 5));
      const other = { ...pulled, meta: { ...pulled.meta, applied: { index: logIndex(6), term: term(1) } } };
      await assert.rejects(b.applier.replaceCatalog(other), { name: "InvariantError" });
    });
  });
});
