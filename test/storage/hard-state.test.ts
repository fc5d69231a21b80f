import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import { hasCode } from "../../node/base/errors.ts";
import { term } from "../../node/base/ids.ts";
import { InvariantError } from "../../node/base/invariant.ts";
import { decodeSlot, encodeSlot } from "../../node/storage/hard-state-slot.ts";
import { type DiskCall, spyDisk, systemError } from "./spy-disk.ts";
import { entries, layout, node, openDirectory, vote, withStores } from "./support.ts";
import { bytesOf, flipByte, onEachDisk, putFile } from "./test-disks.ts";

const isHardState = ({ path }: DiskCall) => basename(path) === "hard-state";

onEachDisk((newPlace) => {
  test("hard state: a vote is there after a restart", async () => {
    const { path, disk } = await newPlace();
    await withStores(path, ({ log }) => log.persist({ hardState: vote(7, "n3"), append: [] }), { disk });
    await withStores(path, async ({ log }) => assert.deepEqual(log.recovered.hardState, vote(7, "n3")), { disk });
  });

  test("hard state: a second vote in one term, or an older term, is a bug and never written", async () => {
    const { path, disk } = await newPlace();
    await withStores(
      path,
      async ({ log }) => {
        await log.persist({ hardState: vote(7, "n3"), append: [] });
        await assert.rejects(log.persist({ hardState: vote(7, "n2"), append: [] }), InvariantError);
        await assert.rejects(log.persist({ hardState: vote(7), append: [] }), InvariantError);
        await assert.rejects(log.persist({ hardState: vote(6, "n2"), append: [] }), InvariantError);
      },
      { disk },
    );
    await withStores(path, async ({ log }) => assert.deepEqual(log.recovered.hardState, vote(7, "n3")), { disk });
  });

  for (const { slot, last } of [
    { slot: 0, last: 1 },
    { slot: 1, last: 1 },
    { slot: 0, last: 4 },
    { slot: 1, last: 4 },
  ]) {
    test(`hard state: with slot ${slot} damaged after entry ${last} the vote is kept, but promises count as lost until the core says otherwise`, async () => {
      const { path, disk } = await newPlace();
      await withStores(
        path,
        async ({ log }) => {
          await log.persist({ hardState: vote(7, "n3"), append: [] });
          for (let index = 2; index <= last; index += 1) {
            await log.persist({ hardState: undefined, append: entries(index, index, 7) });
          }
        },
        { disk },
      );
      await flipByte(disk, layout(path).hardState, slot * 4096 + 100);
      await withStores(
        path,
        async ({ log }) => {
          assert.equal(log.recovered.lostPromises, true);
          assert.deepEqual(log.recovered.hardState, vote(7, "n3"));
          assert.equal(log.recovered.lastIndex, last);
          await log.persist({ hardState: undefined, append: entries(last + 1, 9, 7) });
        },
        { disk },
      );
      await withStores(
        path,
        async ({ log }) => {
          assert.equal(log.recovered.lostPromises, true, "it outlives a restart, and appends do not heal it");
          await log.promisesRefilled();
        },
        { disk },
      );
      await withStores(path, async ({ log }) => assert.equal(log.recovered.lostPromises, false), { disk });
    });
  }

  test("hard state: every single flipped bit of a slot is noticed", async () => {
    const { path, disk } = await newPlace();
    await withStores(path, ({ log }) => log.persist({ hardState: vote(7, "n3"), append: [] }), { disk });
    const slot = await bytesOf(disk, layout(path).hardState, 512);
    const decoded = decodeSlot(slot);
    assert.notEqual(decoded, undefined);
    assert.deepEqual(decoded && encodeSlot(decoded.sequence, decoded.state), slot);
    for (let bit = 0; bit < 512 * 8; bit += 1) {
      const flipped = Buffer.from(slot);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      assert.equal(decodeSlot(flipped), undefined, `bit ${bit}`);
    }
  });

  test("hard state: a slot of zeros is damage too, and a truncated file", async () => {
    const { path, disk } = await newPlace();
    await withStores(path, ({ log }) => log.persist({ hardState: vote(7, "n3"), append: [] }), { disk });
    await putFile(disk, layout(path).hardState, await bytesOf(disk, layout(path).hardState, 4096));
    await withStores(
      path,
      async ({ log }) => {
        assert.equal(log.recovered.lostPromises, true);
        assert.deepEqual(log.recovered.hardState, vote(7, "n3"));
      },
      { disk },
    );
  });

  test("hard state: a write that the disk puts in the place of the other slot costs no vote, however often it starts again", async () => {
    const { path, disk } = await newPlace();
    await withStores(path, ({ log }) => log.persist({ hardState: vote(7, "n3"), append: [] }), { disk });
    for (const target of [0, 1]) {
      // Both slots have the vote; of the second write, which made that so, the other place got everything.
      const file = await bytesOf(disk, layout(path).hardState, 8192);
      const [even, odd] = [0, 4096].map((at) => Buffer.from(file.subarray(at, at + 512)));
      const state = decodeSlot(even ?? file)?.state ?? assert.fail();
      const sequence = 1 + Math.max(decodeSlot(even ?? file)?.sequence ?? 0, decodeSlot(odd ?? file)?.sequence ?? 0);
      const misplaced = sequence % 2 === target ? sequence + 1 : sequence;
      encodeSlot(misplaced, { ...state, term: term(9 + target), votedFor: node("n2") }).copy(file, target * 4096);
      await putFile(disk, layout(path).hardState, file);
      for (const start of [1, 2]) {
        await withStores(
          path,
          async ({ log }) => {
            assert.deepEqual(log.recovered.hardState, vote(9 + target, "n2"), `start ${start}`);
            assert.equal(log.recovered.lostPromises, true);
            assert.equal(log.recovered.promisedIndex, undefined);
          },
          { disk },
        );
      }
    }
  });

  test("hard state: with both slots damaged the node is refused and told what to do, never a fresh voter", async () => {
    const { path, disk } = await newPlace();
    await withStores(path, ({ log }) => log.persist({ hardState: vote(7, "n3"), append: [] }), { disk });
    await flipByte(disk, layout(path).hardState, 100);
    await flipByte(disk, layout(path).hardState, 4196);
    await assert.rejects(
      openDirectory(path, { disk }),
      (error) => hasCode(error, "data-directory-foreign") && /add it again/.test(error.message),
    );
  });

  test("hard state: the loss of either slot write leaves the vote before or after it, and nothing between", async () => {
    for (const failing of [1, 2]) {
      for (const operation of ["write", "sync-file"]) {
        const { path, disk } = await newPlace();
        await withStores(path, ({ log }) => log.persist({ hardState: vote(7, "n3"), append: [] }), { disk });
        const failingDisk = spyDisk(disk);
        await withStores(
          path,
          async ({ log }) => {
            let seen = 0;
            failingDisk.before = (call) => {
              if (isHardState(call) && call.operation === operation && ++seen === failing) throw systemError("EIO");
            };
            await assert.rejects(log.persist({ hardState: vote(8, "n2"), append: [] }), { code: "storage-failed" });
          },
          { disk: failingDisk },
        );
        await withStores(
          path,
          async ({ log }) => {
            const found = log.recovered.hardState;
            assert.ok(
              (found.term === 7 && found.votedFor === "n3") || (found.term === 8 && found.votedFor === "n2"),
              JSON.stringify(found),
            );
            assert.equal(log.recovered.lostPromises, false);
          },
          { disk },
        );
      }
    }
  });

  test("hard state: after a failed sync nothing is written any more, by any store of the directory", async () => {
    const { path, disk } = await newPlace();
    const failingDisk = spyDisk(disk);
    await withStores(
      path,
      async ({ log, catalog, condemnCatalog, installCatalog }) => {
        await log.persist({ hardState: undefined, append: entries(2, 5, 1) });
        failingDisk.before = (call) => {
          if (!isHardState(call) || call.operation !== "sync-file") return;
          failingDisk.before = () => undefined;
          throw systemError("EIO");
        };
        const failed = { code: "storage-failed" };
        await assert.rejects(log.persist({ hardState: undefined, append: entries(6, 7, 1) }), failed);
        await assert.rejects(log.persist({ hardState: undefined, append: entries(6, 7, 1) }), failed);
        await assert.rejects(log.persist({ hardState: vote(3, "n2"), append: [] }), failed);
        await assert.rejects(log.read(entries(2, 2, 1)[0]?.index ?? assert.fail(), 100), failed);
        await assert.rejects(
          log.reset({ index: entries(5, 5, 1)[0]?.index ?? assert.fail(), term: vote(1).term }),
          failed,
        );
        await assert.rejects(Promise.resolve(catalog?.write([], { sync: true })), failed);
        await assert.rejects(condemnCatalog(), failed);
        await assert.rejects(installCatalog(), failed);
      },
      { disk: failingDisk },
    );
    await withStores(
      path,
      async ({ log }) => {
        assert.deepEqual(log.recovered.hardState, vote(1));
        assert.ok(log.recovered.lastIndex >= 5);
        assert.equal(log.recovered.lostPromises, false);
      },
      { disk },
    );
  });
});
