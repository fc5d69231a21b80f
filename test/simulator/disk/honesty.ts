import assert from "node:assert/strict";
import { hasCode } from "../../../node/base/errors.ts";
import { logIndex } from "../../../node/base/ids.ts";
import type { CatalogReader } from "../../../node/catalog/types.ts";
import type { BlobStore, LogStore, OpenedStores } from "../../../node/storage/types.ts";
import { readBack } from "../../storage/blobs/builders.ts";
import { lineOf } from "../../storage/support.ts";
import { rowsAfter } from "../../storage/turns.ts";
import type { History } from "./history.ts";

/** What damage was met in. */
export type Met = "log" | "hard-state" | "catalog" | "blob";

/**
 * The law of a damaged disk: nothing wrong is handed out, and nothing acknowledged is missing without being said to be. For
 * stores that were opened after a kill. Returns what was said to be damaged.
 */
export async function honestyOf(history: History, stores: OpenedStores, blobs: BlobStore): Promise<Set<Met>> {
  const met = new Set<Met>();
  await checkLog(history, stores.log, met);
  if (stores.catalog === undefined) met.add("catalog");
  else await checkCatalog(history, stores.catalog, stores.log.recovered.base.index, met);
  for (const [blobId, { blob, state }] of history.blobs) {
    try {
      assert.ok((await readBack(blobs, blobId)).equals(blob.bytes), `blob ${blobId} has other bytes`);
      assert.notEqual(state, "removed");
    } catch (error) {
      if (hasCode(error, "blob-damaged")) met.add("blob");
      else if (!hasCode(error, "blob-not-found")) throw error;
      else assert.notEqual(state, "kept", `blob ${blobId} was acknowledged and is gone`);
    }
  }
  return met;
}

async function checkLog(history: History, log: LogStore, met: Set<Met>): Promise<void> {
  const { hardState, lastIndex, base, lostPromises, promisedIndex } = log.recovered;
  const { logUnderWay: step } = history;
  const votes = [history.hardState, ...(step?.type === "persist" && step.hardState ? [step.hardState] : [])];
  assert.ok(
    votes.some((vote) => vote.term === hardState.term && vote.votedFor === hardState.votedFor),
    `vote ${hardState.votedFor} in ${hardState.term}`,
  );
  if (lostPromises) met.add(promisedIndex === undefined ? "hard-state" : "log");
  const underWay = new Map(step?.type === "persist" ? step.append.map((one) => [one.index, lineOf(one)]) : []);
  const isReplaced = step?.type === "replace" && base.index === step.index;
  const isNew = step?.type === "persist" && step.append.at(-1)?.index === lastIndex;
  const read = await readable(log, base.index + 1, met);
  for (const [at, line] of read.entries()) {
    const index = base.index + 1 + at;
    const isRight = [history.lines.get(index), underWay.get(logIndex(index))].includes(line);
    // Where the write that replaced it is lost: an honest entry, as long as the log is in doubt.
    const isFormer = lostPromises && history.replacedLines.has(line);
    assert.ok(isRight || isFormer, `entry ${index} is ${line}`);
  }
  if (lostPromises || isReplaced || isNew) return;
  // Entries that a leader was about to have replaced were promised to nobody who counts them.
  const first = step?.type === "persist" ? step.append[0]?.index : undefined;
  const promised = Math.min(history.lastIndex, (first ?? Number.POSITIVE_INFINITY) - 1);
  const isHonest = promised <= lastIndex && lastIndex <= history.lastIndex;
  assert.ok(isHonest, `the log ends at ${lastIndex} of ${promised} to ${history.lastIndex}, and says nothing`);
}

/** Reads on until the end, or until the store says that it is damaged. */
async function readable(log: LogStore, from: number, met: Set<Met>): Promise<string[]> {
  const lines: string[] = [];
  try {
    for (;;) {
      const entries = await log.read(logIndex(from + lines.length), 1 << 16);
      if (entries.length === 0) return lines;
      lines.push(...entries.map(lineOf));
    }
  } catch (error) {
    if (!hasCode(error, "storage-failed")) throw error;
    met.add("log");
    return lines;
  }
}

/** The state after one of its writes, though not always the last: the log must have the rest. */
async function checkCatalog(history: History, catalog: CatalogReader, logBase: number, met: Set<Met>): Promise<void> {
  const read = (key: string) => orDamaged(met, () => catalog.get(Buffer.from(key)));
  const applied = await read("applied");
  if (applied === "damaged") return;
  const turn = JSON.parse(Buffer.from(applied ?? "").toString()).index - 1;
  if (!history.turns.includes(turn)) met.add("catalog");
  assert.ok(history.turns.includes(turn) || history.formerTurns.has(turn), `the catalog is after turn ${turn}`);
  assert.ok(logBase <= turn + 1, `the log begins at ${logBase}, the catalog ends with turn ${turn}`);
  const rows = rowsAfter(turn);
  const isRight = (key: string, value: Uint8Array | undefined) =>
    key === "applied" || rows.get(key) === (value && Buffer.from(value).toString());
  for (const key of rows.keys()) {
    const value = await read(key);
    assert.ok(value === "damaged" || isRight(key, value), `row ${key} after turn ${turn}`);
  }
  const range = { from: Buffer.alloc(0), before: Buffer.of(0xff), limit: 100_000 };
  const all = await orDamaged(met, () => catalog.range(range));
  if (all === "damaged") return;
  assert.equal(all.length, rows.size);
  for (const { key, value } of all) assert.ok(isRight(Buffer.from(key).toString(), value));
}

async function orDamaged<T>(met: Set<Met>, read: () => T | Promise<T>): Promise<T | "damaged"> {
  try {
    return await read();
  } catch (error) {
    if (!hasCode(error, "catalog-damaged")) throw error;
    met.add("catalog");
    return "damaged";
  }
}
