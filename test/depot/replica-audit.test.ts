import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../node/base/clock.ts";
import { DepositoError } from "../../node/base/errors.ts";
import type { BlobId } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { ReplicaAudit, type ReplicaAuditOptions } from "../../node/depot/replica-audit.ts";
import { deposit, id, nodes, TestCatalog } from "../catalog/fixture.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { MapCatalog } from "../support/map-catalog.ts";

const [n1, n2] = nodes(2) as [ReturnType<typeof nodes>[number], ReturnType<typeof nodes>[number]];
const blob = (number: number) => id<BlobId>(number);

/** What n1's disk does when it is asked for a blob. */
type Disk = (blobId: BlobId, range: { readonly start: number; readonly end: number }) => Promise<void>;

/** An audit of n1 in a group where each of `count` files lies on n1 and n2. */
function auditing(count: number, disk: Disk, changes: Partial<ReplicaAuditOptions> = {}) {
  const founded = new TestCatalog();
  for (let at = 1; at <= count; at += 1) founded.apply(deposit("x".repeat(1000), at, [n1, n2], { name: `f${at}` }));
  const catalog = new MapCatalog();
  catalog.write([...founded.rows.values()]);
  const reported: string[] = [];
  const ended = Promise.withResolvers<unknown>();
  const audit = new ReplicaAudit({
    self: n1,
    replication: { catalog } as Partial<ReplicaAuditOptions["replication"]> as ReplicaAuditOptions["replication"],
    holder: {
      read: async (blobId: BlobId, range: { readonly start: number; readonly end: number }) => {
        await disk(blobId, range);
        return (async function* () {
          yield Buffer.alloc(range.end - range.start);
        })();
      },
    } as Partial<ReplicaAuditOptions["holder"]> as ReplicaAuditOptions["holder"],
    clock: systemClock,
    logger: silentLogger,
    repair: { graceMs: 0, scrubIntervalHours: 1, maxMiBPerSecond: 1000 },
    reportGone: async (blobId) => {
      reported.push(`${blobId} gone`);
    },
    reportDamaged: (blobId) => reported.push(`${blobId} damaged`),
    onDone: async () => ended.resolve("done"),
    onFatal: (error) => ended.resolve(error),
    ...changes,
  });
  return { audit, catalog, reported, ended: ended.promise };
}

const gone = new DepositoError("blob-not-found", "no such blob");

describe("comparing a disk with a restored catalog", () => {
  test("finds what is not there before it reads what is, and reports each", async () => {
    const asked: string[] = [];
    const { audit, reported, ended } = auditing(600, async (blobId, { end }) => {
      asked.push(`${end}`);
      if (blobId === blob(7) || blobId === blob(300)) throw gone;
      if (blobId === blob(8) && end > 0) throw new DepositoError("blob-damaged", "a wrong checksum");
      if (blobId === blob(9) && end > 0) throw new DepositoError("range-not-satisfiable", "it is shorter");
    });
    audit.start();
    assert.equal(await ended, "done");
    assert.deepEqual(asked.slice(0, 600), Array(600).fill("0"));
    assert.deepEqual(asked.slice(600), Array(600).fill("1000"));
    assert.deepEqual(reported.slice(0, 2), [`${blob(7)} gone`, `${blob(300)} gone`]);
    assert.deepEqual(reported.slice(2).sort(), [
      `${blob(7)} gone`,
      `${blob(8)} damaged`,
      `${blob(9)} damaged`,
      `${blob(300)} gone`,
    ]);
    await audit.close();
  });

  test("is begun anew when the catalog cannot be read to the end", async () => {
    const clock = new ManualClock();
    let failures = 0;
    const { audit, ended, catalog } = auditing(3, async () => undefined, { clock });
    const range = catalog.range.bind(catalog);
    catalog.range = async (bounds) => {
      if (failures++ === 0) throw new DepositoError("no-quorum", "the catalog is being installed anew");
      setImmediate(() => clock.advance(60_000));
      return range(bounds);
    };
    audit.start();
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(5000);
    assert.equal(await ended, "done");
    await audit.close();
  });

  test("that is stopped in the middle is not done, and reads no further", async () => {
    const reached = Promise.withResolvers<void>();
    let reads = 0;
    const { audit, ended } = auditing(100, async () => {
      reads += 1;
      reached.resolve();
      await new Promise((resolve) => setImmediate(resolve));
    });
    audit.start();
    await reached.promise;
    await audit.close();
    const readsThen = reads;
    assert.ok(reads < 100);
    assert.equal(
      await Promise.race([ended, new Promise((resolve) => setTimeout(() => resolve("silent"), 20))]),
      "silent",
    );
    assert.equal(reads, readsThen);
  });

  test("takes no more from the disk than repair may", async () => {
    const clock = new ManualClock();
    const repair = { graceMs: 0, scrubIntervalHours: 1, maxMiBPerSecond: 0.001 };
    let whole = 0;
    const { audit } = auditing(
      50,
      async (_blobId, { end }) => {
        if (end > 0) whole += 1;
      },
      { clock, repair },
    );
    audit.start();
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(whole, 1, "the first one may always begin");
    clock.advance(5000);
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(whole > 1 && whole < 8, `${whole} read`);
    await audit.close();
  });

  test("a bug in it ends the process", async () => {
    const bug = new TypeError("a bug");
    const { audit, ended } = auditing(1, async () => {
      throw bug;
    });
    audit.start();
    assert.equal(await ended, bug);
    await audit.close();
  });
});
