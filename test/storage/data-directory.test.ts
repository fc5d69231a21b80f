import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, test } from "node:test";
import { hasCode } from "../../node/base/errors.ts";
import { logIndex, newIncarnation, term } from "../../node/base/ids.ts";
import type { DataDirectory } from "../../node/storage/types.ts";
import { spyDisk, systemError } from "./spy-disk.ts";
import {
  appliedRow,
  base,
  contentOf,
  entries,
  founding,
  openDirectory,
  temporaryDirectory,
  use,
  withStores,
} from "./support.ts";
import { onEachDisk, putFile } from "./test-disks.ts";

async function opened(directory: DataDirectory) {
  const stores = await directory.open();
  return { log: stores.log, catalog: stores.catalog, installCatalog: () => stores.installCatalog() };
}

onEachDisk((newPlace) => {
  test("data directory: a missing one is blank, and gets nothing but the lock before it is claimed", async () => {
    const { path, disk } = await newPlace();
    const directory = await openDirectory(path, { disk });
    assert.equal(directory.identity, undefined);
    assert.deepEqual([...(await disk.names(path))], ["lock"]);
    await directory.close();
  });

  test("data directory: an empty mount point with lost+found is blank", async () => {
    const { path, disk } = await newPlace();
    await disk.makeDirectory(path);
    await disk.makeDirectory(join(path, "lost+found"));
    const directory = await openDirectory(path, { disk });
    assert.equal(directory.identity, undefined);
    await directory.close();
  });

  test("data directory: one that joined has no catalog until it installs one, and then goes on after it", async () => {
    const { path, disk } = await newPlace();
    const first = await openDirectory(path, { disk });
    const { incarnation } = await first.claim(newIncarnation());
    await first.join(founding.clusterId);
    assert.deepEqual(first.identity, { nodeId: "n1", incarnation, clusterId: founding.clusterId });
    await first.close();

    // Ended before it had installed anything, it is where it was.
    const second = await openDirectory(path, { disk });
    const { log, catalog, installCatalog } = await opened(second);
    assert.deepEqual(log.recovered.base, { ...log.recovered.base, index: 0, term: 0 });
    assert.deepEqual([log.recovered.lastIndex, log.recovered.lostPromises, catalog], [0, false, undefined]);
    const installer = await installCatalog();
    const position = { index: logIndex(40), term: term(3) };
    await installer.write([appliedRow(position)]);
    await installer.complete();
    await log.reset(position);
    await second.close();

    const third = await openDirectory(path, { disk });
    const stores = await opened(third);
    assert.notEqual(stores.catalog, undefined);
    assert.equal(stores.log.recovered.base.index, 40);
    assert.equal(stores.log.recovered.lostPromises, false);
    await third.close();
  });

  test("data directory: claim, found and open survive restarts, and every boot is counted once", async () => {
    const { path, disk } = await newPlace();
    const incarnation = newIncarnation();
    const first = await openDirectory(path, { disk });
    await first.claim(incarnation);
    assert.deepEqual(first.identity, { nodeId: "n1", incarnation, clusterId: undefined });
    assert.equal(first.boots, 1);
    await first.close();

    const second = await openDirectory(path, { disk });
    assert.deepEqual(second.identity, { nodeId: "n1", incarnation, clusterId: undefined });
    await second.found(founding, [appliedRow(base)], base);
    await second.close();

    const third = await openDirectory(path, { disk });
    assert.deepEqual(third.identity, { nodeId: "n1", incarnation, clusterId: founding.clusterId });
    assert.equal(third.boots, 3);
    const { log, catalog } = await third.open();
    assert.deepEqual(log.recovered.base, base);
    assert.equal(log.recovered.lastIndex, base.index);
    assert.notEqual(catalog, undefined);
    await third.close();
  });

  test("data directory: founding that was cut off is done again from the start", async () => {
    const { path, disk } = await newPlace();
    const failing = spyDisk(disk);
    const cut = await openDirectory(path, { disk: failing });
    await cut.claim(newIncarnation());
    failing.before = ({ operation, path: file }) => {
      // This write would make the founding count.
      if (operation === "write" && basename(file) === "hard-state") throw systemError("EIO");
    };
    await assert.rejects(cut.found(founding, [appliedRow(base)], base), { code: "storage-failed" });
    await cut.close();
    await withStores(path, async ({ log }) => assert.deepEqual(log.recovered.base, base), { disk });
  });

  test("data directory: one that holds other files is refused, and nothing is left in it", async () => {
    const { path, disk } = await newPlace();
    await disk.makeDirectory(path);
    await putFile(disk, join(path, "thesis.tex"), Buffer.alloc(0));
    await assert.rejects(
      openDirectory(path, { disk }),
      (error) => hasCode(error, "data-directory-foreign") && /thesis/.test(error.message),
    );
    assert.deepEqual([...(await disk.names(path))], ["thesis.tex"]);
  });

  test("data directory: one without its hard-state file is refused, never taken for blank", async () => {
    const { path, disk } = await newPlace();
    await withStores(path, ({ log }) => log.persist({ hardState: undefined, append: entries(2, 9, 0 + 1) }), { disk });
    await disk.unlink(join(path, "hard-state"));
    await assert.rejects(
      openDirectory(path, { disk }),
      (error) => hasCode(error, "data-directory-foreign") && /add it again/.test(error.message),
    );
  });

  test("data directory: an emptied one has no identity any more", async () => {
    const { path, disk } = await newPlace();
    await (await use(path, { disk })).directory.close();
    for (const name of await disk.names(path)) await disk.removeTree(join(path, name));
    const directory = await openDirectory(path, { disk });
    assert.equal(directory.identity, undefined);
    await directory.close();
  });

  test("data directory: another node's is refused, naming both", async () => {
    const { path, disk } = await newPlace();
    await (await use(path, { disk })).directory.close();
    await assert.rejects(
      openDirectory(path, { disk, nodeId: "n2" }),
      (error) => hasCode(error, "data-directory-foreign") && /n1.*n2/.test(error.message),
    );
    await withStores(path, async ({ log }) => assert.equal(log.recovered.lostPromises, false), { disk });
  });

  test("data directory: two opens at the same moment give one owner", async () => {
    const { path, disk } = await newPlace();
    await (await use(path, { disk })).directory.close();
    const results = await Promise.allSettled([openDirectory(path, { disk }), openDirectory(path, { disk })]);
    assert.deepEqual(results.map((result) => result.status).sort(), ["fulfilled", "rejected"]);
    for (const result of results) if (result.status === "fulfilled") await result.value.close();
  });

  test("data directory: what an unfinished switch left is removed on open", async () => {
    const { path, disk } = await newPlace();
    await withStores(path, ({ log }) => log.persist({ hardState: undefined, append: entries(2, 9, 1) }), { disk });
    for (const name of ["log-2", "catalog-7"]) await disk.makeDirectory(join(path, name));
    await withStores(path, async ({ log }) => assert.equal((await contentOf(log, 2, 9)).length, 8), { disk });
    assert.deepEqual([...(await disk.names(path))].sort(), ["catalog-1", "hard-state", "lock", "log-1"]);
  });
});

test("data directory: a second open in the same process is refused, by another path too, and does not loosen the lock", async () => {
  const path = await temporaryDirectory();
  const { directory } = await use(path);
  const alias = `${path}-alias`;
  await symlink(path, alias);
  await assert.rejects(openDirectory(path), { code: "data-directory-in-use" });
  await assert.rejects(openDirectory(alias), { code: "data-directory-in-use" });
  assert.equal(await openInChild(path), "data-directory-in-use");
  await directory.close();
  assert.equal(await openInChild(path), "opened");
});

test("data directory: a damaged lock is told, with what to do", async () => {
  const path = await temporaryDirectory();
  await (await use(path)).directory.close();
  await writeFile(join(path, "lock", "CURRENT"), "MANIFEST-9\n");
  await assert.rejects(
    openDirectory(path),
    (error) => hasCode(error, "data-directory-foreign") && /remove that folder/.test(error.message),
  );
});

test("data directory: the lock of a killed process is free at once", async () => {
  const path = await temporaryDirectory();
  await (await use(path)).directory.close();
  const holder = child(path);
  await once(holder.stdout, "data");
  await assert.rejects(openDirectory(path), { code: "data-directory-in-use" });
  holder.kill("SIGKILL");
  await once(holder, "exit");
  await withStores(path, async ({ log }) => assert.equal(log.recovered.lostPromises, false));
});

/** A process that opens `path`, says how that went, and stays. */
function child(path: string) {
  const process = spawn(globalThis.process.execPath, [join(import.meta.dirname, "open-child.ts"), path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  after(() => process.kill("SIGKILL"));
  return process;
}

async function openInChild(path: string): Promise<string> {
  const process = child(path);
  const [said] = await once(process.stdout, "data");
  process.kill("SIGKILL");
  await once(process, "exit");
  return String(said).trim();
}
