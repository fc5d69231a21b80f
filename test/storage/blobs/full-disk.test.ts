import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { hasCode } from "../../../node/base/errors.ts";
import { newBlobId } from "../../../node/base/ids.ts";
import { blobOf, readBack, rejectsWith, stream, type TestBlob, temporaryFolder } from "./builders.ts";
import { type FileBlobHarness, fileBlobHarness } from "./file-blob-harness.ts";

const MiB = 1024 * 1024;
const mountable = process.platform === "linux" && process.getuid?.() === 0;

describe("File blob store: a real disk of 8 MiB", { skip: mountable ? false : "needs root, to mount a tmpfs" }, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let harness: FileBlobHarness;
  before(async () => {
    folder = await temporaryFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder.path]);
    harness = await fileBlobHarness({ dataDir: folder.path });
  });
  after(async () => {
    await harness.close();
    execFileSync("umount", [folder.path]);
    await folder.remove();
  });

  test("what does not fit is refused and leaves no trace; what fitted stays, and the store goes on", async () => {
    const kept: TestBlob[] = [];
    const freeBefore = statfsSync(folder.path).bfree;
    await rejectsWith("not-enough-space", stream(harness.store, blobOf(12 * MiB), MiB));
    assert.equal(await harness.stagesOnDisk(), 0);
    assert.equal(statfsSync(folder.path).bfree, freeBefore, "the room is free again");

    const fill = async () => {
      for (;;) {
        const blob = blobOf(300_000);
        await stream(harness.store, blob);
        kept.push(blob);
      }
    };
    await assert.rejects(fill(), (error) => hasCode(error, "not-enough-space"));
    const small = Array.from({ length: 200 }, () => blobOf(3000));
    await rejectsWith("not-enough-space", harness.store.store(small));
    for (const { facts } of small) await rejectsWith("blob-not-found", harness.store.open(facts.blobId));
    assert.equal(await harness.stagesOnDisk(), 0);
    assert.ok(kept.length > 10);
    for (const { facts, bytes } of kept) assert.ok((await readBack(harness.store, facts.blobId)).equals(bytes));

    await harness.store.remove(kept.slice(0, 5).map(({ facts }) => facts.blobId));
    const writer = await harness.store.stage(newBlobId(), undefined);
    await writer.cancel();
    await stream(harness.store, blobOf(300_000));
  });
});
