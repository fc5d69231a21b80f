import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { hasCode } from "../../node/base/errors.ts";
import { spyDisk } from "./spy-disk.ts";
import { contentOf, entry, lineOf, temporaryDirectory, use, withStores } from "./support.ts";

const skip = (await mayMount()) ? false : "mounting a small disk needs root";
const data = "x".repeat(2000);

test("full disk: after the first failure nothing is accepted, with space free again too, and nothing acknowledged is lost", {
  skip,
}, async (t) => {
  const { path, filler } = await smallDisk(4);
  await (await use(path)).directory.close();
  await writeFile(filler, Buffer.alloc(1 << 20));
  const stores = await use(path, { tuning: { logWriteBufferBytes: 256 * 1024 } });
  const acknowledged: string[] = [];
  const failed = (error: unknown) => hasCode(error, "storage-failed");
  for (let index = 2; ; index += 1) {
    const next = entry(index, 1, `${index} ${data}`);
    try {
      await stores.log.persist({ hardState: undefined, append: [next] });
      acknowledged.push(lineOf(next));
    } catch (error) {
      assert.ok(failed(error), String(error));
      break;
    }
  }
  await rm(filler);
  for (let again = 1; again <= 50; again += 1) {
    const next = entry(acknowledged.length + 2, 1);
    await assert.rejects(stores.log.persist({ hardState: undefined, append: [next] }), failed);
    await assert.rejects(Promise.resolve(stores.catalog?.write([], { sync: true })), failed);
  }
  await stores.directory.close();
  await withStores(path, async ({ log }) => {
    assert.equal(log.recovered.lostPromises, false);
    assert.deepEqual(await contentOf(log, 2, acknowledged.length + 1), acknowledged);
    assert.ok(log.recovered.lastIndex <= acknowledged.length + 2, "at most the one under way besides");
  });
  t.diagnostic(`${acknowledged.length} entries acknowledged before ENOSPC`);
  assert.ok(acknowledged.length > 100);
});

test("full disk: a write that LevelDB refuses ends all writing (without a small disk at hand)", async () => {
  const path = await temporaryDirectory();
  const disk = spyDisk();
  await withStores(
    path,
    async ({ log, catalog }) => {
      await log.persist({ hardState: undefined, append: [entry(2, 1)] });
      disk.before = ({ operation }) => {
        if (operation !== "level-write") return;
        disk.before = () => undefined;
        throw new Error("IO error: No space left on device");
      };
      await assert.rejects(log.persist({ hardState: undefined, append: [entry(3, 1)] }), { code: "storage-failed" });
      await assert.rejects(log.persist({ hardState: undefined, append: [entry(3, 1)] }), { code: "storage-failed" });
      await assert.rejects(Promise.resolve(catalog?.write([], { sync: false })), { code: "storage-failed" });
    },
    { disk },
  );
  await withStores(path, async ({ log }) => assert.equal(log.recovered.lastIndex, 2));
});

test("full disk: a start without space fails, and takes neither log nor catalog for damaged", {
  skip,
}, async () => {
  const { path, filler } = await smallDisk(4);
  await withStores(path, async ({ log }) => {
    for (let index = 2; index < 100; index += 1)
      await log.persist({ hardState: undefined, append: [entry(index, 1, data)] });
  });
  const { bavail, bsize } = await statfs(path);
  await writeFile(filler, Buffer.alloc(bavail * bsize));
  await assert.rejects(use(path), { code: "storage-failed" });
  await rm(filler);
  await withStores(path, async ({ log, catalog }) => {
    assert.equal(log.recovered.lostPromises, false);
    assert.equal(log.recovered.lastIndex, 99);
    assert.notEqual(catalog, undefined);
  });
});

test("full disk: an installation that runs out of space leaves the former catalog", { skip }, async () => {
  const { path } = await smallDisk(4);
  await withStores(path, async ({ installCatalog }) => {
    const installer = await installCatalog();
    const fill = async () => {
      for (let at = 0; at < 3000; at += 1) {
        await installer.write([{ key: Buffer.from(`k${at}`), value: Buffer.from(data) }]);
      }
    };
    await assert.rejects(fill(), { code: "storage-failed" });
  });
  await withStores(path, async ({ catalog }) => {
    assert.equal(catalog?.get(Buffer.from("k1")), undefined);
    assert.notEqual(catalog?.get(Buffer.from("applied")), undefined);
  });
});

/** A disk of its own, of `sizeMiB`, with a data directory and a place for what fills it. */
async function smallDisk(sizeMiB: number): Promise<{ path: string; filler: string }> {
  const mountPoint = await mkdtemp(join(tmpdir(), "deposito-disk-"));
  mount(mountPoint, sizeMiB);
  after(async () => {
    execFileSync("umount", ["--lazy", mountPoint]);
    await rm(mountPoint, { recursive: true });
  });
  return { path: join(mountPoint, "data"), filler: join(mountPoint, "filler") };
}

function mount(mountPoint: string, sizeMiB: number): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}m`, "tmpfs", mountPoint], { stdio: "ignore" });
}

/** Root in a container often may not. */
async function mayMount(): Promise<boolean> {
  const mountPoint = await mkdtemp(join(tmpdir(), "deposito-disk-"));
  try {
    mount(mountPoint, 1);
    execFileSync("umount", [mountPoint]);
    return true;
  } catch {
    return false;
  } finally {
    await rm(mountPoint, { recursive: true });
  }
}
