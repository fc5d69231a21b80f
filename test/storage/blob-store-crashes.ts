import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import type { BlobFacts } from "../../node/catalog/types.ts";
import type { BlobStore } from "../../node/storage/types.ts";
import { blobOf, readBack, rejectsWith, stream, temporaryFolder } from "./blobs/builders.ts";

/** How to run a store in a process that can be killed. */
export interface CrashOptions {
  /** A module that opens a store at `argv[2]` as boot `argv[3]` and gives it to `depositUntilKilled`. */
  readonly child: URL;
  open(dataDir: string, boots: number): Promise<BlobStore>;
}

/** What the child tells its parent, each after the store has acknowledged it. */
interface Ack {
  readonly facts: BlobFacts;
  /** `passing`: stored, and perhaps removed by the time the kill strikes. */
  readonly state: "kept" | "passing" | "removed";
}

/** Stores, streams and removes blobs without end; tells the parent of each acknowledgement. */
export async function depositUntilKilled(store: BlobStore): Promise<never> {
  const tell = (ack: Ack) => process.send?.(ack);
  const lane = async (sizes: readonly number[], grouped: boolean): Promise<never> => {
    for (;;) {
      const blobs = sizes.map((size) => blobOf(size));
      if (grouped) await store.store(blobs);
      else for (const blob of blobs) await stream(store, blob, 50_000);
      for (const [at, { facts }] of blobs.entries()) tell({ facts, state: at === 0 ? "passing" : "kept" });
      const [first] = blobs;
      if (first === undefined) continue;
      await store.remove([first.facts.blobId]);
      tell({ facts: first.facts, state: "removed" });
    }
  };
  return await Promise.race([lane([0, 100, 1000, 65_536, 70_000], true), lane([10, 300_000, 1_500_000], false)]);
}

/** Facts that hold after `kill -9`, whenever it strikes. */
export function describeCrashes({ child, open }: CrashOptions): void {
  describe("killed in the middle", () => {
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;
    let running: ChildProcess | undefined;
    before(async () => {
      folder = await temporaryFolder();
    });
    after(async () => {
      running?.kill("SIGKILL");
      await folder.remove();
    });

    test("every acknowledged blob is whole after kill -9, every removed one is gone, nothing is half there", async () => {
      const acked = new Map<string, Ack>();
      for (const [round, acksBeforeKill] of [40, 13, 71].entries()) {
        running = fork(child, [folder.path, String(round * 2 + 1)], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
        const exited = once(running, "exit");
        let acks = 0;
        running.on("message", (ack: Ack) => {
          acked.set(ack.facts.blobId, ack);
          acks += 1;
          if (acks === acksBeforeKill) running?.kill("SIGKILL");
        });
        assert.deepEqual(await exited, [null, "SIGKILL"]);
        const store = await open(folder.path, round * 2 + 2);
        await checkAfterCrash(store, [...acked.values()]);
        await store.close();
      }
    });
  });
}

async function checkAfterCrash(store: BlobStore, acked: readonly Ack[]): Promise<void> {
  const listed = await store.list(undefined, 1_000_000);
  // What was stored but not told of any more must be whole, too.
  for (const blob of listed) assert.equal(blobOf(await readBack(store, blob.blobId)).facts.sha256, blob.sha256);
  const ids = new Set(listed.map(({ blobId }) => blobId));
  for (const { facts, state } of acked) {
    if (state === "kept") assert.ok(ids.has(facts.blobId), `blob ${facts.blobId} was acknowledged and is gone`);
    if (state === "removed") await rejectsWith("blob-not-found", store.open(facts.blobId));
  }
}
