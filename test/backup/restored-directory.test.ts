import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { DepositoError, type ErrorCode, hasCode } from "../../node/base/errors.ts";
import { type BackupId, type NodeId, newIncarnation, staged } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { readMeta, restoredWrites } from "../../node/catalog/apply.ts";
import { DigestAccumulator, digestHex } from "../../node/catalog/digest.ts";
import { readMembers } from "../../node/catalog/tables.ts";
import type { Founding, Write } from "../../node/catalog/types.ts";
import { openDataDirectory } from "../../node/storage/data-directory.ts";
import { type RestoreOptions, restoreDirectory } from "../../node/storage/restored-directory.ts";
import { systemDisk } from "../../node/storage/system/system-disk.ts";
import type { DataDirectory } from "../../node/storage/types.ts";
import { groupOf, openNodeDirectory, temporaryFolder } from "../replication/support/node-disk.ts";
import { damage, levelFolder } from "../support/disk-faults.ts";
import { catalogWith, rowsOf } from "./support.ts";

const [n1, n2] = ["n1", "n2"] as [NodeId, NodeId];
const restored = "0123456789abcdef".repeat(2) as BackupId;
const fails = (code: ErrorCode, text: RegExp) => (error: unknown) => hasCode(error, code) && text.test(error.message);

async function restore(path: string, rows: readonly Write[], changes: Partial<RestoreOptions> = {}): Promise<void> {
  await restoreDirectory({
    path,
    nodeId: n1,
    disk: systemDisk,
    logger: silentLogger,
    appliedOf: (catalog) => readMeta(catalog).applied,
    incarnation: newIncarnation(),
    restored,
    replace: false,
    fill: (write) => write(rows),
    ...changes,
  });
}

function opened(path: string): Promise<DataDirectory> {
  const appliedOf = (catalog: Parameters<typeof readMeta>[0]) => readMeta(catalog).applied;
  return openDataDirectory({ path, nodeId: n1, disk: systemDisk, logger: silentLogger, appliedOf });
}

/** The directory of n1 in use by a group, with a blob in it. */
async function inUse(t: TestContext, founding: Founding = groupOf("n1", "n2", "n3")): Promise<string> {
  const path = join(temporaryFolder(t), "n1");
  await (await openNodeDirectory(path, founding, n1)).close();
  mkdirSync(join(path, "blobs", "aa"), { recursive: true });
  writeFileSync(join(path, "blobs", "aa", "blob"), "bytes");
  return path;
}

const namesOf = (path: string) => readdirSync(path).sort();

describe("a restored directory", () => {
  test("has another identity, the catalog of the backup, and no log; it founds another group on them", async (t) => {
    const path = await inUse(t);
    const before = await opened(path);
    const { identity } = before;
    await before.close();
    const { catalog } = catalogWith(20);
    await restore(path, await rowsOf(catalog), { replace: true });
    assert.deepEqual(namesOf(path), ["blobs", "catalog-2", "hard-state", "lock"]);
    assert.deepEqual(readdirSync(join(path, "blobs", "aa")), ["blob"]);

    const directory = await opened(path);
    assert.equal(directory.identity?.clusterId, undefined);
    assert.notEqual(directory.identity?.incarnation, identity?.incarnation);
    assert.deepEqual([directory.restored, directory.boots], [restored, 1]);
    const founding = groupOf("n1", "n2");
    await directory.foundRestored(founding, (backup) => restoredWrites(backup, founding));
    const stores = await directory.open();
    assert.ok(stores.catalog);
    assert.equal(directory.identity?.clusterId, founding.clusterId);
    assert.deepEqual(
      [stores.log.recovered.base.index, stores.log.recovered.lastIndex, stores.log.recovered.lostPromises],
      [21, 21, false],
    );
    assert.equal(readMeta(stores.catalog).clusterId, founding.clusterId);
    await directory.replicasCompared();
    await directory.close();
    const again = await opened(path);
    assert.deepEqual([again.restored, again.boots], [undefined, 2]);
    await again.close();
  });

  test("is made of a blank one, of one whose metadata is gone, and of one restored before, without further ado", async (t) => {
    const rows = await rowsOf(catalogWith(1).catalog);
    const path = join(temporaryFolder(t), "deep", "n1");
    await restore(path, rows);
    await restore(path, rows);
    assert.deepEqual(namesOf(path), ["catalog-2", "hard-state", "lock"]);
    const emptied = await inUse(t);
    for (const name of namesOf(emptied).filter((each) => each !== "blobs"))
      rmSync(join(emptied, name), { recursive: true });
    await restore(emptied, rows);
    assert.deepEqual(namesOf(emptied), ["blobs", "catalog-1", "hard-state", "lock"]);
  });

  test("is refused where metadata would be lost, unless that is said", async (t) => {
    const rows = await rowsOf(catalogWith(1).catalog);
    const path = await inUse(t);
    await assert.rejects(restore(path, rows), fails("data-directory-foreign", /metadata of the group .*--replace/));
    rmSync(join(path, "hard-state"));
    await assert.rejects(restore(path, rows), fails("data-directory-foreign", /metadata of a node.*--replace/));
    await restore(path, rows, { replace: true });
    const broken = await inUse(t);
    for (const offset of [100, 4196]) damage(join(broken, "hard-state"), offset);
    await assert.rejects(restore(broken, rows), fails("data-directory-foreign", /--replace/));
    await restore(broken, rows, { replace: true });
  });

  test("is never made of another node's directory, of a stranger's, or of one that is in use", async (t) => {
    const rows = await rowsOf(catalogWith(1).catalog);
    const path = await inUse(t);
    const options = { replace: true };
    await assert.rejects(
      restore(path, rows, { ...options, nodeId: n2 }),
      fails("data-directory-foreign", /belongs to node n1/),
    );
    const running = await opened(path);
    await assert.rejects(restore(path, rows, options), (error) => hasCode(error, "data-directory-in-use"));
    await running.close();
    writeFileSync(join(path, "thesis.txt"), "mine");
    await assert.rejects(restore(path, rows, options), fails("data-directory-foreign", /thesis\.txt/));
  });

  test("stays as it was when the backup turns out to be damaged half way", async (t) => {
    const path = await inUse(t);
    const names = namesOf(path);
    const fill: RestoreOptions["fill"] = async (write) => {
      await write(await rowsOf(catalogWith(1).catalog));
      throw new DepositoError("backup-damaged", "a checksum is wrong");
    };
    await assert.rejects(restore(path, [], { replace: true, fill }), (error) => hasCode(error, "backup-damaged"));
    assert.deepEqual(namesOf(path), names);
    const directory = await opened(path);
    assert.ok((await directory.open()).catalog);
    await directory.close();
  });

  test("without the rows that every catalog has is not relied on", async (t) => {
    const path = await inUse(t);
    await assert.rejects(restore(path, [], { replace: true }), fails("storage-failed", /cannot be read back/));
    const directory = await opened(path);
    assert.notEqual(directory.identity?.clusterId, undefined);
    await directory.close();
  });

  test("whose catalog is damaged before the group is founded says so", async (t) => {
    const path = join(temporaryFolder(t), "n1");
    await restore(path, await rowsOf(catalogWith(1).catalog));
    rmSync(join(levelFolder(path, "catalog"), "CURRENT"));
    const directory = await opened(path);
    const found = directory.foundRestored(groupOf("n1"), () => []);
    await assert.rejects(found, fails("backup-damaged", /restore it again/));
    await directory.close();
  });

  test("that joins a group after all gives its catalog up", async (t) => {
    const path = join(temporaryFolder(t), "n1");
    await restore(path, await rowsOf(catalogWith(1).catalog));
    const directory = await opened(path);
    await directory.join(groupOf("n1").clusterId);
    assert.equal((await directory.open()).catalog, undefined);
    assert.equal(directory.restored, undefined);
    await directory.close();
  });
});

describe("the first catalog of a group that begins with a backup", () => {
  test("goes on at the same entry with the same rows, but with its own members in a life of their own", () => {
    const { catalog, meta } = catalogWith(3);
    const founding = groupOf("n1", "n4");
    catalog.write(restoredWrites(catalog, founding));
    const after = readMeta(catalog);
    assert.deepEqual(after.applied, meta.applied);
    assert.deepEqual(after.totals, meta.totals);
    assert.equal(after.clusterId, founding.clusterId);
    assert.deepEqual(after.configuration, { voters: ["n1", "n4"], outgoing: [], learners: [], learnersNext: [] });
    assert.deepEqual(
      readMembers(catalog).map(({ id, state, life, sweptUpTo }) => [id, state, life, sweptUpTo]),
      [
        ["n1", "member", 4, staged(0)],
        ["n2", "lost", 1, staged(0)],
        ["n3", "lost", 1, staged(0)],
        ["n4", "member", 4, staged(0)],
      ],
    );
  });

  test("has the digest of its rows, also when it is made twice", async () => {
    const { catalog } = catalogWith(3);
    const founding = groupOf("n1", "n4");
    for (const time of ["once", "twice"]) {
      catalog.write(restoredWrites(catalog, founding));
      const digest = new DigestAccumulator();
      for (const { key, value } of await rowsOf(catalog)) digest.add(key, value);
      assert.equal(digestHex(readMeta(catalog).digest), digestHex(digest.value), time);
    }
  });
});
