import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { hasCode } from "../../node/base/errors.ts";
import type { Entry, HardState, LogPosition } from "../../node/raft/types.ts";
import { isChange, spyDisk } from "./spy-disk.ts";
import {
  appliedRow,
  base,
  contentOf,
  entries,
  entry,
  lineOf,
  position,
  temporaryDirectory,
  use,
  vote,
  withStores,
} from "./support.ts";
import { type DiskPlace, onEachDisk } from "./test-disks.ts";

/** What a log must hold, as the one who uses it knows. */
interface Model {
  readonly hardState: HardState;
  readonly base: LogPosition;
  readonly entries: readonly Entry[];
}

type Step =
  | { readonly type: "persist"; readonly hardState?: HardState; readonly append: readonly Entry[] }
  | { readonly type: "trim" | "reset"; readonly to: LogPosition };

function advanced(model: Model, step: Step): Model {
  switch (step.type) {
    case "persist": {
      const first = step.append[0]?.index ?? Number.POSITIVE_INFINITY;
      return {
        hardState: step.hardState ?? model.hardState,
        base: model.base,
        entries: [...model.entries.filter((one) => one.index < first), ...step.append],
      };
    }
    case "trim":
      return { ...model, base: step.to, entries: model.entries.filter((one) => one.index > step.to.index) };
    case "reset":
      return { ...model, base: step.to, entries: [] };
  }
}

const scenario: readonly Step[] = [
  { type: "persist", hardState: vote(1, "n1"), append: [] },
  { type: "persist", append: entries(2, 12, 1) },
  { type: "persist", append: entries(13, 20, 1) },
  { type: "persist", hardState: vote(2, "n2"), append: entries(10, 14, 2) }, // truncates
  { type: "persist", append: entries(14, 30, 2) }, // truncates and outgrows
  { type: "trim", to: position(13, 2) },
  { type: "persist", hardState: vote(3), append: [] },
  { type: "persist", append: [entry(15, 3)] }, // truncates far back
  { type: "reset", to: position(40, 3) },
  { type: "persist", hardState: vote(4, "n3"), append: entries(41, 45, 4) },
  { type: "reset", to: position(43, 4) }, // back, to within what it holds
  { type: "persist", append: entries(44, 44, 4) },
];

onEachDisk((newPlace) => {
  test("crash: at whatever moment the process dies, the log holds what was acknowledged or what was under way, whole", async (t) => {
    let windows = 0;
    for (let dieAt = 1; ; dieAt += 1) {
      const { path, disk } = await newPlace();
      const { acknowledged, underWay, moment } = await runUntil({ path, disk }, dieAt);
      await withStores(
        path,
        async ({ log }) => {
          const { lostPromises, lastIndex, hardState } = log.recovered;
          const at = `died at ${moment}, step ${JSON.stringify(underWay)}`;
          assert.equal(lostPromises, false, at);
          const found = {
            hardState,
            base: log.recovered.base,
            lines: await contentOf(log, log.recovered.base.index + 1, lastIndex),
          };
          // Of a persist that truncates, term and vote come first, and alone they are an earlier, honest state.
          const allowed = [acknowledged, advanced(acknowledged, underWay), voteOnly(acknowledged, underWay)].map(
            (model) => ({
              hardState: model.hardState,
              base: model.base,
              lines: model.entries.map(lineOf),
            }),
          );
          assert.ok(
            allowed.some((model) => JSON.stringify(model) === JSON.stringify(found)),
            `${at}: ${JSON.stringify(found)}`,
          );
          // And it goes on from there.
          const next = position(lastIndex + 1, 9);
          await log.persist({ hardState: vote(9), append: [entry(next.index, 9)] });
        },
        { disk },
      );
      await withStores(path, async ({ log }) => assert.equal(log.recovered.lostPromises, false), { disk });
      if (moment === "the end") break;
      windows = dieAt;
    }
    t.diagnostic(`${windows} moments`);
    assert.ok(windows > 50, `${windows} moments`);
  });

  test("crash: a condemned or installed catalog is one or the other, at whatever moment the process dies", async () => {
    for (let dieAt = 1; ; dieAt += 1) {
      const { path, disk } = await newPlace();
      await (await use(path, { disk })).directory.close();
      let touched = 0;
      let armed = false;
      let died = false;
      const dying = spyDisk(disk);
      dying.before = (call) => {
        if (!armed || !isChange(call) || ++touched < dieAt) return;
        died = true;
        throw new Error("the process died");
      };
      const { directory, installCatalog } = await use(path, { disk: dying });
      armed = true;
      try {
        const installer = await installCatalog();
        await installer.write([appliedRow(position(50, 2)), { key: Buffer.from("k"), value: Buffer.from("v") }]);
        await installer.complete();
      } catch (error) {
        if (!hasCode(error, "storage-failed") && !died) throw error;
      }
      armed = false;
      await directory.close();
      await withStores(
        path,
        async ({ catalog, log }) => {
          const installed = catalog?.get(Buffer.from("k")) !== undefined;
          assert.deepEqual(log.recovered.base, installed ? position(50, 2) : base);
          assert.equal(log.recovered.lostPromises, false);
          if (!died) assert.equal(installed, true);
        },
        { disk },
      );
      if (!died) {
        assert.ok(dieAt > 8, `${dieAt} moments`);
        return;
      }
    }
  });
});

function voteOnly(model: Model, step: Step): Model {
  return step.type === "persist" ? { ...model, hardState: step.hardState ?? model.hardState } : model;
}

/** Runs the scenario until the disk has been touched `dieAt` times, then leaves everything as it is. */
async function runUntil({ path, disk }: DiskPlace, dieAt: number) {
  await withStores(path, async ({ catalog }) => catalog?.write([appliedRow(base)], { sync: true }), { disk });
  let touched = 0;
  let armed = false;
  let moment = "the end";
  const dying = spyDisk(disk);
  dying.before = (call) => {
    if (!armed || !isChange(call) || ++touched < dieAt) return;
    if (moment === "the end") moment = `${call.operation} of ${basename(call.path)}`;
    throw new Error("the process died");
  };
  const { log, directory } = await use(path, { disk: dying });
  armed = true;
  let acknowledged: Model = { hardState: log.recovered.hardState, base, entries: [] };
  let underWay: Step = { type: "persist", append: [] };
  try {
    for (underWay of scenario) {
      if (underWay.type === "persist") {
        await log.persist({ hardState: underWay.hardState, append: underWay.append });
      } else {
        await log[underWay.type](underWay.to);
      }
      acknowledged = advanced(acknowledged, underWay);
      underWay = { type: "persist", append: [] };
    }
  } catch (error) {
    if (moment === "the end") throw error;
  } finally {
    armed = false;
    await directory.close();
  }
  return { acknowledged, underWay, moment };
}

test("crash: everything that a killed process acknowledged is there, kill after kill, and its vote", async (t) => {
  const path = await temporaryDirectory();
  await (await use(path)).directory.close();
  let acked = { index: 1, term: 1 };
  for (let kill = 1; kill <= 6; kill += 1) {
    const child = spawn(process.execPath, [join(import.meta.dirname, "persist-child.ts"), path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    after(() => child.kill("SIGKILL"));
    const lines = createInterface({ input: child.stdout });
    let heard = 0;
    lines.on("line", (line) => {
      const [index, term] = line.split(" ").map(Number);
      acked = { index: index ?? 0, term: term ?? 0 };
      if (++heard === 40 + kill * 17) child.kill("SIGKILL");
    });
    await once(lines, "close");
    assert.equal(child.signalCode ?? (await once(child, "exit"))[1], "SIGKILL");
    await withStores(path, async ({ log }) => {
      assert.equal(log.recovered.lostPromises, false);
      assert.ok(log.recovered.hardState.term >= acked.term);
      // The child truncates up to 3 entries in each new term before it appends 5; less than acknowledged is never held.
      assert.ok(log.recovered.lastIndex >= acked.index, `${log.recovered.lastIndex} of ${acked.index}`);
      const content = await contentOf(log, log.recovered.base.index + 1, log.recovered.lastIndex);
      assert.equal(content.length, log.recovered.lastIndex - log.recovered.base.index);
      const last = content.at(-1) ?? "";
      assert.match(last, new RegExp(`^${log.recovered.lastIndex}/\\d+ .*entry ${log.recovered.lastIndex} of`));
    });
  }
  t.diagnostic(`${acked.index} entries over ${acked.term} terms`);
});
