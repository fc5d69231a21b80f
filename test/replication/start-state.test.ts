import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type LogIndex, logIndex, term } from "../../node/base/ids.ts";
import { applyEntries, readMeta } from "../../node/catalog/apply.ts";
import type { Founding } from "../../node/catalog/types.ts";
import type { Entry } from "../../node/raft/types.ts";
import { catalogReachesLog, readStartState } from "../../node/replication/start-state.ts";
import { layoutOf } from "../../node/storage/layout.ts";
import type { CatalogStore, LogStore, OpenedStores } from "../../node/storage/types.ts";
import { commandEntries, groupOf, openNodeDirectory, temporaryFolder, withDisk } from "./support/node-disk.ts";

const entries = commandEntries(2, 20);

interface Disk {
  readonly path: string;
  readonly founding: Founding;
  /** Does `work` in one life of the node. */
  live(work: (stores: OpenedStores & { readonly catalog: CatalogStore }) => Promise<void>): Promise<void>;
}

function disk(scope: TestContext): Disk {
  const path = join(temporaryFolder(scope), "n1");
  const founding = groupOf("n1", "n2", "n3");
  return { path, founding, live: (work) => withDisk(path, founding, work) };
}

function persist(log: LogStore, through: number): Promise<void> {
  return log.persist({ hardState: { term: term(1), votedFor: undefined }, append: entries.slice(0, through - 1) });
}

async function apply(catalog: CatalogStore, through: number): Promise<void> {
  const meta = readMeta(catalog);
  const due = entries.filter(({ index }) => index > meta.applied.index && index <= through);
  await catalog.write(applyEntries(catalog, meta, due).writes, { sync: true });
}

/** Puts a catalog at `through` in the place of the present one, as a snapshot of a peer does. */
async function install(
  stores: OpenedStores & { readonly catalog: CatalogStore },
  through: number,
): Promise<CatalogStore> {
  const installer = await stores.installCatalog();
  await installer.write(await stores.catalog.range({ from: Buffer.of(0), before: Buffer.of(0xff), limit: 1000 }));
  const catalog = await installer.complete();
  await apply(catalog, through);
  return catalog;
}

function indexesOf(list: readonly Entry[]): readonly number[] {
  return list.map(({ index }) => index);
}

const at = (index: number) => ({ index: logIndex(index), term: term(1) });

describe("what a node starts from", () => {
  test("a founded node: nothing after the founding catalog", async (t) => {
    await disk(t).live(async ({ catalog, log }) => {
      assert.equal(catalogReachesLog(catalog, log), true);
      const state = await readStartState(catalog, log);
      assert.deepEqual([state.logBase, state.lastIndex, state.entries, state.applied], [at(1), 1, [], 1]);
      assert.deepEqual(state.configuration.voters, ["n1", "n2", "n3"]);
      assert.equal(state.lostPromises, false);
    });
  });

  test("entries that were logged and not applied are handed to the core, all others stay on disk", async (t) => {
    const { live } = disk(t);
    await live(async ({ catalog, log }) => {
      await persist(log, 12);
      await apply(catalog, 9);
    });
    await live(async ({ catalog, log }) => {
      const state = await readStartState(catalog, log);
      assert.deepEqual(indexesOf(state.entries), [10, 11, 12]);
      assert.deepEqual([state.applied, state.lastIndex, state.logBase], [9, 12, at(1)]);
      assert.deepEqual(state.hardState, { term: 1, votedFor: undefined });
    });
  });

  test("a crash between installing a snapshot and resetting the log: the log goes on after the snapshot", async (t) => {
    const { live } = disk(t);
    await live(async (stores) => {
      await persist(stores.log, 8);
      await apply(stores.catalog, 5);
      await install(stores, 15);
    });
    await live(async ({ catalog, log }) => {
      const state = await readStartState(catalog, log);
      assert.deepEqual([state.applied, state.lastIndex, state.entries, state.logBase], [15, 15, [], at(15)]);
      assert.equal(state.lostPromises, false);
      await log.persist({ hardState: undefined, append: entries.filter(({ index }) => index === 16) });
    });
  });

  test("a snapshot that was installed at this very start, beyond the log: the log is reset to it", async (t) => {
    const { live } = disk(t);
    await live(async ({ log }) => persist(log, 8));
    await live(async (stores) => {
      const catalog = await install(stores, 15);
      const state = await readStartState(catalog, stores.log);
      assert.deepEqual([state.applied, state.lastIndex, state.entries, state.logBase], [15, 15, [], at(15)]);
      await stores.log.persist({ hardState: undefined, append: entries.filter(({ index }) => index === 16) });
    });
    await live(async ({ catalog, log }) => {
      assert.deepEqual(indexesOf((await readStartState(catalog, log)).entries), [16]);
    });
  });

  test("a snapshot inside the log leaves the log as it is", async (t) => {
    const { live } = disk(t);
    await live(async (stores) => {
      await persist(stores.log, 12);
      await install(stores, 9);
    });
    await live(async ({ catalog, log }) => {
      const state = await readStartState(catalog, log);
      assert.deepEqual([indexesOf(state.entries), state.logBase], [[10, 11, 12], at(1)]);
    });
  });

  test("a trimmed log goes on where it was trimmed", async (t) => {
    const { live } = disk(t);
    await live(async ({ catalog, log }) => {
      await persist(log, 12);
      await apply(catalog, 12);
      await log.trim(at(6));
    });
    await live(async ({ catalog, log }) => {
      const state = await readStartState(catalog, log);
      assert.deepEqual([state.logBase, state.lastIndex, state.entries], [at(6), 12, []]);
      assert.deepEqual(state.termRuns, [at(7)]);
    });
  });

  test("a lost log: the catalog stands for what was applied, and the node knows that promises are lost", async (t) => {
    const { path, live } = disk(t);
    await live(async ({ catalog, log }) => {
      await persist(log, 12);
      await apply(catalog, 9);
    });
    await rm(layoutOf(path).log(1), { recursive: true });
    await live(async ({ catalog, log }) => {
      const state = await readStartState(catalog, log);
      assert.deepEqual([state.applied, state.lastIndex, state.entries, state.logBase], [9, 9, [], at(9)]);
      assert.deepEqual([state.lostPromises, state.promisedIndex], [true, 12]);
    });
  });

  const losses: readonly (readonly [string, (path: string, stores: OpenedStores) => Promise<void>])[] = [
    ["lost", () => Promise.resolve()],
    ["condemned", (_path, stores) => stores.condemnCatalog()],
  ];
  for (const [how, lose] of losses)
    test(`a ${how} catalog is none, and one from a peer goes on with the log that is here`, async (t) => {
      const { path, founding, live } = disk(t);
      await live(async (stores) => {
        await persist(stores.log, 12);
        await apply(stores.catalog, 9);
        await lose(path, stores);
      });
      if (how === "lost") await rm(layoutOf(path).catalog(1), { recursive: true });
      const directory = await openNodeDirectory(path, founding, founding.members[0]?.id as never);
      try {
        const stores = await directory.open();
        assert.equal(stores.catalog, undefined);
        const peer = disk(t);
        await peer.live(async (theirs) => {
          await apply(theirs.catalog, 10);
          const installer = await stores.installCatalog();
          await installer.write(
            await theirs.catalog.range({ from: Buffer.of(0), before: Buffer.of(0xff), limit: 1000 }),
          );
          const catalog = await installer.complete();
          const state = await readStartState(catalog, stores.log);
          assert.deepEqual([indexesOf(state.entries), state.applied, state.lostPromises], [[11, 12], 10, false]);
        });
      } finally {
        await directory.close();
      }
    });

  test("a catalog that ends before the log begins cannot be started from", async (t) => {
    await disk(t).live(async ({ catalog, log }) => {
      await persist(log, 12);
      await log.reset(at(12));
      const trimmed = { ...log, recovered: { ...log.recovered, base: at(12), lastIndex: 12 as LogIndex } };
      assert.equal(catalogReachesLog(catalog, trimmed as LogStore), false);
      await assert.rejects(readStartState(catalog, trimmed as LogStore), { name: "InvariantError" });
    });
  });

  test("a log that contradicts the catalog is older than it, and is reset", async (t) => {
    await disk(t).live(async ({ catalog, log }) => {
      const reset: unknown[] = [];
      const other = {
        recovered: { ...log.recovered, lastIndex: 1 as LogIndex, base: { index: logIndex(1), term: term(0) } },
        reset: async (position: unknown) => void reset.push(position),
      };
      const state = await readStartState(catalog, other as unknown as LogStore);
      assert.deepEqual([reset, state.logBase], [[at(1)], at(1)]);
    });
  });

  test("a log that ends before it says so is a bug", async (t) => {
    await disk(t).live(async ({ catalog, log }) => {
      const short = {
        recovered: { ...log.recovered, termRuns: [at(2)], lastIndex: 5 as LogIndex },
        read: async () => [],
      };
      await assert.rejects(readStartState(catalog, short as unknown as LogStore), { name: "InvariantError" });
    });
  });
});
