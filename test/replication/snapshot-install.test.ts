import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { systemChance } from "../../node/base/chance.ts";
import { systemClock } from "../../node/base/clock.ts";
import { DepositoError, hasCode } from "../../node/base/errors.ts";
import { type LogIndex, logIndex, type NodeId, newClientId, newIncarnation } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { applyEntries, readMeta } from "../../node/catalog/apply.ts";
import { readClient } from "../../node/catalog/tables.ts";
import type { MemberFacts } from "../../node/catalog/types.ts";
import { pullSnapshot, type SnapshotTransfer } from "../../node/replication/snapshot-install.ts";
import { SnapshotServer } from "../../node/replication/snapshot-source.ts";
import type { CatalogStore, OpenedStores } from "../../node/storage/types.ts";
import type { SnapshotChunk, SnapshotCursor } from "../../node/transport/types.ts";
import { commandEntry, groupOf, registerClient, temporaryFolder, withDisk } from "./support/node-disk.ts";

const [n2, n3] = ["n2", "n3"] as NodeId[] as [NodeId, NodeId];
const puller = "n4" as NodeId;
const clients = 5000; // some 1.5 MiB of rows: two chunks

type Answer = (
  source: NodeId,
  at: SnapshotCursor | undefined,
  honest: () => Promise<SnapshotChunk>,
) => Promise<SnapshotChunk>;

/** A source with a catalog of two chunks, an empty receiver, and what stands between them. */
async function pulling(
  scope: TestContext,
  answer: Answer,
  check: (facts: {
    readonly pull: (options?: {
      readonly atLeast?: () => LogIndex;
      readonly signal?: AbortSignal;
      readonly self?: Pick<MemberFacts, "id" | "incarnation">;
    }) => ReturnType<typeof pullSnapshot>;
    readonly asked: string[];
    readonly transfers: readonly SnapshotTransfer[];
    readonly receiver: OpenedStores;
    readonly source: CatalogStore;
    /** Catalog generations on the receiver's disk. */
    readonly catalogs: () => readonly string[];
  }) => Promise<void>,
): Promise<void> {
  const folder = temporaryFolder(scope);
  const founding = groupOf("n1");
  const [founder] = founding.members as [MemberFacts];
  await withDisk(join(folder, "source"), founding, (source) =>
    withDisk(join(folder, "receiver"), founding, async (receiver) => {
      const entries = Array.from({ length: clients }, (_, at) =>
        commandEntry(at + 2, registerClient(newClientId(), "x".repeat(200))),
      );
      await source.catalog.write(applyEntries(source.catalog, readMeta(source.catalog), entries).writes, {
        sync: false,
      });
      const server = new SnapshotServer({
        store: () => source.catalog,
        clock: systemClock,
        chance: systemChance,
        onChunk: () => undefined,
      });
      const asked: string[] = [];
      const transfers: SnapshotTransfer[] = [];
      const awake = setInterval(() => undefined, 1000);
      await check({
        asked,
        transfers,
        receiver,
        source: source.catalog,
        catalogs: () => readdirSync(join(folder, "receiver")).filter((name) => name.startsWith("catalog")),
        pull: ({ atLeast = () => logIndex(1), signal = new AbortController().signal, self = founder } = {}) =>
          pullSnapshot({
            self,
            peers: {
              snapshotChunk: (from, at) => {
                asked.push(`${from} ${at === undefined ? "begin" : "on"}`);
                return answer(from, at, () => server.chunk(puller, at));
              },
            },
            sources: () => [n2, n3],
            begin: () => receiver.installCatalog(),
            atLeast,
            clock: systemClock,
            logger: silentLogger,
            signal,
            onTransfer: (transfer) => transfers.push(transfer),
          }),
      }).finally(() => clearInterval(awake));
      await server.close();
    }),
  );
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

function unreachable(): DepositoError {
  return new DepositoError("peer-unreachable", "gone");
}

describe("pulling a snapshot", () => {
  test("all chunks of one source make the same catalog, which nobody sees before it is complete", async (t) => {
    await pulling(
      t,
      (_from, _at, honest) => honest(),
      async ({ pull, asked, receiver, source }) => {
        const pulled = await pull({ atLeast: () => logIndex(clients + 1) });
        assert.deepEqual(asked, ["n2 begin", "n2 on"]);
        assert.equal(receiver.catalog && readMeta(receiver.catalog).applied.index, 1);
        const catalog = await pulled.complete();
        assert.deepEqual(readMeta(catalog), readMeta(source));
        assert.deepEqual(pulled.meta, readMeta(source));
        const bounds = { from: Buffer.of(0), before: Buffer.of(0xff), limit: 100_000 };
        assert.deepEqual(await catalog.range(bounds), await source.range(bounds));
      },
    );
  });

  test("a source that does not list this life of the node is passed over: it may lag behind", async (t) => {
    await pulling(
      t,
      (_from, _at, honest) => honest(),
      async ({ pull, asked, catalogs }) => {
        const stop = new AbortController();
        const waiting = pull({ self: { id: n3, incarnation: newIncarnation() }, signal: stop.signal });
        await until(() => asked.length > 2);
        stop.abort(new Error("enough"));
        await assert.rejects(waiting, /enough/);
        assert.deepEqual(asked.slice(0, 3), ["n2 begin", "n3 begin", "n2 begin"]);
        assert.deepEqual(catalogs(), ["catalog-1"]);
      },
    );
  });

  test("a transfer that breaks goes on where it stood, with the same source", async (t) => {
    let breaks = 0;
    await pulling(
      t,
      async (_from, at, honest) => {
        if (at !== undefined && breaks++ < 2) throw unreachable();
        return honest();
      },
      async ({ pull, asked }) => {
        await (await pull()).cancel();
        assert.deepEqual(asked, ["n2 begin", "n2 on", "n2 on", "n2 on"]);
      },
    );
  });

  test("what is needed may grow meanwhile: a snapshot that was begun too early is given up at once", async (t) => {
    let needed = logIndex(2);
    await pulling(
      t,
      async (from, at, honest) => {
        const chunk = await honest();
        if (from === n2 && at !== undefined) needed = logIndex(clients + 1);
        return from === n2 ? { ...chunk, applied: logIndex(clients) } : chunk;
      },
      async ({ pull, asked, transfers }) => {
        await (await pull({ atLeast: () => needed })).cancel();
        assert.deepEqual(asked, ["n2 begin", "n2 on", "n3 begin", "n3 on"]);
        assert.deepEqual(
          transfers.map(({ result, sizeBytes }) => [result, sizeBytes > 1 << 20]),
          [
            ["failed", true],
            ["complete", true],
          ],
        );
      },
    );
  });

  test("a source that dies for good is left for another, and nothing of its part is kept", async (t) => {
    await pulling(
      t,
      async (from, at, honest) => {
        if (from === n2 && at !== undefined) throw unreachable();
        return honest();
      },
      async ({ pull, asked, catalogs }) => {
        const pulled = await pull();
        assert.deepEqual(asked.slice(-2), ["n3 begin", "n3 on"]);
        assert.equal(catalogs().length, 2, "the current one, and the one of n3");
        await pulled.cancel();
        assert.equal(catalogs().length, 1);
      },
    );
  });

  test("while no source answers, nothing is made on disk", async (t) => {
    let failures = 0;
    await pulling(
      t,
      async (_from, _at, honest) => {
        if (failures++ < 3) throw unreachable();
        return honest();
      },
      async ({ pull, asked, receiver }) => {
        const begun = t.mock.method(receiver, "installCatalog");
        await (await pull()).cancel();
        assert.deepEqual(
          [asked.slice(0, 4), begun.mock.callCount()],
          [["n2 begin", "n3 begin", "n2 begin", "n3 begin"], 1],
        );
      },
    );
  });

  const wrong: readonly (readonly [string, (chunk: SnapshotChunk) => SnapshotChunk])[] = [
    [
      "a row is another than its digest says",
      (chunk) => ({
        ...chunk,
        rows: chunk.rows.map((row, at) =>
          at === 0 ? { ...row, value: Buffer.concat([row.value, Buffer.of(0)]) } : row,
        ),
      }),
    ],
    ["a row is missing", (chunk) => ({ ...chunk, rows: chunk.rows.slice(1) })],
    ["the meta row is missing", (chunk) => (chunk.last ? { ...chunk, rows: chunk.rows.slice(0, -1) } : chunk)],
    [
      "the source has begun another snapshot meanwhile",
      (chunk) => (chunk.last ? { ...chunk, session: "another" } : chunk),
    ],
    ["a chunk is empty and not the last", (chunk) => ({ ...chunk, rows: [], last: false })],
  ];
  for (const [what, change] of wrong)
    test(`refused, and pulled from another source: ${what}`, async (t) => {
      await pulling(
        t,
        async (from, _at, honest) => (from === n2 ? change(await honest()) : honest()),
        async ({ pull, asked, source }) => {
          const pulled = await pull();
          assert.ok(asked.includes("n3 begin"));
          assert.deepEqual(readMeta(await pulled.complete()), readMeta(source));
        },
      );
    });

  test("a snapshot older than what is needed is refused with its first chunk", async (t) => {
    const stop = new AbortController();
    await pulling(
      t,
      async (from, at, honest) => {
        if (from === n3 && at === undefined) stop.abort(new Error("enough"));
        return honest();
      },
      async ({ pull, asked, catalogs }) => {
        await assert.rejects(pull({ atLeast: () => logIndex(clients + 2), signal: stop.signal }), /enough/);
        assert.deepEqual(asked, ["n2 begin", "n3 begin"]);
        assert.equal(catalogs().length, 1);
      },
    );
  });

  test("an abort ends it at once, though the source never answers, and leaves nothing on disk", async (t) => {
    const stop = new AbortController();
    await pulling(
      t,
      async (_from, at, honest) => {
        if (at === undefined) return honest();
        setImmediate(() => stop.abort(new DepositoError("no-quorum", "stopping")));
        return new Promise<never>(() => undefined);
      },
      async ({ pull, catalogs }) => {
        await assert.rejects(pull({ signal: stop.signal }), (error) => hasCode(error, "no-quorum"));
        assert.equal(catalogs().length, 1);
      },
    );
  });

  test("a failed write of the own disk is not tried again", async (t) => {
    await pulling(
      t,
      (_from, _at, honest) => honest(),
      async ({ pull, receiver, asked }) => {
        t.mock.method(receiver, "installCatalog", async () => ({
          write: () => Promise.reject(new DepositoError("storage-failed", "no space left")),
          complete: () => Promise.reject(new Error("not reached")),
          cancel: async () => undefined,
        }));
        await assert.rejects(pull(), (error) => hasCode(error, "storage-failed"));
        assert.deepEqual(asked, ["n2 begin"]);
      },
    );
  });

  test("a client of the pulled catalog is one of the source's", async (t) => {
    await pulling(
      t,
      (_from, _at, honest) => honest(),
      async ({ pull, source }) => {
        const clientId = newClientId();
        const entry = commandEntry(clients + 2, registerClient(clientId));
        await source.write(applyEntries(source, readMeta(source), [entry]).writes, { sync: false });
        const catalog = await (await pull()).complete();
        assert.equal(readClient(catalog, clientId)?.label, "a client");
      },
    );
  });
});
