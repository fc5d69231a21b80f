import assert from "node:assert/strict";
import type { BlobId } from "../../../node/base/ids.ts";
import type { Entry, HardState } from "../../../node/raft/types.ts";
import type { BlobStore, OpenedStores } from "../../../node/storage/types.ts";
import { readBack, rejectsWith, type TestBlob } from "../../storage/blobs/builders.ts";
import { base, contentOf, lineOf, vote } from "../../storage/support.ts";
import { rowsAfter, rowsOf } from "../../storage/turns.ts";

/** A change of the log that was asked for and not yet acknowledged. */
export type LogStep =
  | { readonly type: "persist"; readonly hardState: HardState | undefined; readonly append: readonly Entry[] }
  | { readonly type: "replace"; readonly index: number }; // by a snapshot

/**
 * What a disk has acknowledged to its user, through all crashes, and what was under way: the only things it may hold
 * when it is opened again. Turn n is entry n + 1 of the log and a write of the catalog (turns.ts).
 */
export class History {
  hardState: HardState = vote(base.term);
  /** The text of each entry ever acknowledged that was not replaced. */
  readonly lines = new Map<number, string>();
  /** The texts of all others. */
  readonly replacedLines = new Set<string>();
  lastIndex: number = base.index;
  /** Up to here it may be trimmed. */
  logBase: number = base.index;
  logUnderWay: LogStep | undefined;
  /** The catalog stands after one of these turns: the last one synced, and those after it. */
  turns: number[] = [0];
  /** After these it stood once; only damage can bring one of them back. */
  readonly formerTurns = new Set<number>();
  /** Of those, the last that was acknowledged: a kill takes no more than what is behind it. */
  turnTaken = 0;
  /** Since it was last found whole. */
  hadPowerCut = false;
  readonly blobs = new Map<
    BlobId,
    { readonly blob: TestBlob; readonly state: "storing" | "kept" | "removing" | "removed" }
  >();

  /** The term of an entry that is there, or was before it was trimmed. */
  termOf(index: number): number {
    return Number(/\/(\d+)/.exec(this.lines.get(index) ?? "/1")?.[1]);
  }

  /** The catalog is synced after this turn. */
  catalogIsAfter(turn: number): void {
    for (const former of this.turns) this.formerTurns.add(former);
    this.turns = [turn];
  }

  /** A log step was acknowledged. */
  logged(step: LogStep): void {
    this.logUnderWay = undefined;
    if (step.type === "replace") {
      this.lastIndex = step.index;
      this.logBase = step.index;
    } else {
      this.hardState = step.hardState ?? this.hardState;
      this.lastIndex = step.append.at(-1)?.index ?? this.lastIndex;
      for (const one of step.append) {
        this.replacedLines.add(this.lines.get(one.index) ?? "");
        this.lines.set(one.index, lineOf(one));
      }
    }
  }

  /** Compares what was found with what may be there, and goes on from it. */
  async check({ log, catalog }: OpenedStores, blobs: BlobStore): Promise<void> {
    assert.equal(log.recovered.lostPromises, false, "promises are called lost");
    assert.ok(catalog !== undefined, "the catalog is lost");
    const rows = await rowsOf(catalog);
    const applied = rows.get("applied") ?? "";
    const turn = JSON.parse(applied).index - 1;
    const { turns, turnTaken, hadPowerCut } = this;
    assert.ok(turns.includes(turn), `the catalog is after turn ${turn}, none of ${turns.join()}`);
    if (!hadPowerCut) assert.ok(turn >= turnTaken, `a kill took turns behind ${turn}, ${turnTaken} was there`);
    assert.deepEqual(rows, rowsAfter(turn).set("applied", applied));
    this.catalogIsAfter(turn);
    this.turnTaken = turn;
    await this.#checkLog(log);
    await this.#checkBlobs(blobs);
    this.hadPowerCut = false;
  }

  async #checkLog(log: OpenedStores["log"]): Promise<void> {
    const { hardState, lastIndex } = log.recovered;
    const step = this.logUnderWay;
    if (step !== undefined && (await this.#isThere(step, log))) this.logged(step);
    assert.equal(lastIndex, this.lastIndex, "where the log ends");
    if (step?.type === "persist" && step.hardState?.term === hardState.term) this.hardState = step.hardState;
    this.logUnderWay = undefined;
    assert.deepEqual(hardState, this.hardState);
    const found = log.recovered.base.index;
    assert.ok(found <= this.logBase, `trimmed to ${found}, not ${this.logBase}`);
    const held = Array.from({ length: lastIndex - found }, (_, offset) => this.lines.get(found + 1 + offset));
    assert.deepEqual(await contentOf(log, found + 1, lastIndex), held);
    this.logBase = found;
  }

  async #isThere(step: LogStep, log: OpenedStores["log"]): Promise<boolean> {
    if (step.type === "replace") return log.recovered.base.index === step.index;
    const last = step.append.at(-1);
    if (last === undefined || log.recovered.lastIndex !== last.index) return false;
    const [found] = await log.read(last.index, 1);
    return found !== undefined && lineOf(found) === lineOf(last);
  }

  async #checkBlobs(blobs: BlobStore): Promise<void> {
    const listed = new Set((await blobs.list(undefined, 1_000_000)).map(({ blobId }) => blobId));
    for (const blobId of listed) assert.ok(this.blobs.has(blobId), `nobody stored blob ${blobId}`);
    for (const [blobId, { blob, state }] of this.blobs) {
      const isThere = listed.has(blobId);
      if (state === "kept") assert.ok(isThere, `blob ${blobId} was acknowledged and is gone`);
      if (state === "removed") assert.ok(!isThere, `blob ${blobId} was removed and is there`);
      if (isThere) assert.ok((await readBack(blobs, blobId)).equals(blob.bytes), `blob ${blobId} has other bytes`);
      else await rejectsWith("blob-not-found", blobs.open(blobId));
      // What was found is synced by now, and what was not cannot come back.
      this.blobs.set(blobId, { blob, state: isThere ? "kept" : "removed" });
    }
  }
}
