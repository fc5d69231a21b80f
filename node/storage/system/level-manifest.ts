import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../disk.ts";
import { ByteReader } from "./byte-reader.ts";
import { readLevelLog } from "./level-records.ts";

/** The files that a LevelDB consists of. Others may lie in its folder, half written, where a compaction was cut off. */
export interface LiveFiles {
  /** Numbers of table files. */
  readonly tables: ReadonlySet<number>;
  /** Number of the oldest file of the write-ahead log that still counts; every newer one does too. 0: none was made yet. */
  readonly oldestWal: number;
}

/**
 * What the manifest says that `CURRENT` names; undefined when either is gone or damaged.
 *
 * A manifest is a log of edits (`db/version_edit.cc`), each a record (level-records.ts):
 *
 *   edit:  (tag · fields)*  tag 2: oldest write-ahead log · tag 6: table removed · tag 7: table added
 */
export async function liveFiles(folder: string): Promise<LiveFiles | undefined> {
  const current = await readOrUndefined(join(folder, "CURRENT"));
  const name = /^(MANIFEST-\d+)\n$/.exec(current?.toString("latin1") ?? "")?.[1];
  const manifest = name === undefined ? undefined : await readOrUndefined(join(folder, name));
  if (manifest === undefined) return undefined;
  const { records, end } = readLevelLog(manifest);
  // An edit that was being written when the power was cut does not count, nor does it for LevelDB.
  if (end === "damaged") return undefined;
  const live = { tables: new Set<number>(), oldestWal: 0 };
  for (const { payload } of records) {
    if (!applyEdit(payload, live)) return undefined;
  }
  return live;
}

async function readOrUndefined(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Does to `live` what the edit says; false when it makes no sense. */
function applyEdit(edit: Buffer, live: { readonly tables: Set<number>; oldestWal: number }): boolean {
  const reader = new ByteReader(edit);
  while (!reader.atEnd) {
    const tag = reader.varint();
    if (tag === 1) {
      if (reader.string() === undefined) return false; // comparator
    } else if (tag === 2) {
      const number = reader.varint();
      if (number === undefined) return false;
      live.oldestWal = number;
    } else if (tag === 3 || tag === 4 || tag === 9) {
      if (reader.varint() === undefined) return false; // next file, last sequence, previous log: always none
    } else if (tag === 5) {
      reader.varint();
      if (reader.string() === undefined) return false; // compaction pointer
    } else if (tag === 6) {
      reader.varint();
      const number = reader.varint();
      if (number === undefined) return false;
      live.tables.delete(number);
    } else if (tag === 7) {
      reader.varint();
      const number = reader.varint();
      reader.varint();
      reader.string();
      if (number === undefined || reader.string() === undefined) return false;
      live.tables.add(number);
    } else {
      return false;
    }
  }
  return true;
}
