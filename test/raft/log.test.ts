import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex } from "../../node/base/ids.ts";
import { entryBytes, RaftLog } from "../../node/raft/log.ts";
import type { Entry, LogPosition } from "../../node/raft/types.ts";
import { at, entry } from "./support.ts";

/** What a log is, without any thought for memory: all entries, and all writes that wait for their sync. */
class PlainLog {
  entries: Entry[] = [];
  disk: Entry[] = [];
  writes: (readonly Entry[])[] = [];
  applied = 0;
  base = 0;

  /** The log holds for sure up to here what the disk has, and what no write under way will take back. */
  get persisted(): number {
    const touched = Math.min(...this.writes.map(([first]) => first?.index ?? Number.POSITIVE_INFINITY));
    const differs = this.disk.findIndex((each, place) => each !== this.entries[place]);
    const agreed = differs < 0 ? this.disk.length : differs;
    return Math.max(this.applied, Math.min(agreed, touched - 1));
  }

  write(entries: readonly Entry[]): void {
    const first = entries[0]?.index ?? 1;
    this.entries = [...this.entries.slice(0, first - 1), ...entries];
    this.writes.push(entries);
  }

  sync(): LogPosition | undefined {
    const write = this.writes.shift();
    if (write === undefined) return undefined;
    this.disk = [...this.disk.slice(0, (write[0]?.index ?? 1) - 1), ...write];
    return write.at(-1);
  }
}

const step = fc.record({
  kind: fc.constantFrom("append", "append", "rewrite", "sync", "sync", "apply", "trim"),
  by: fc.nat(4),
});

test("RaftLog: shows what a plain list would, whatever is appended, rewritten, synced, applied and trimmed", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.constantFrom(0, 80, 100_000), (steps, maxCachedBytes) => {
      const [none, plain] = [logIndex(0), new PlainLog()];
      const log = new RaftLog({
        base: at(0, 0),
        termRuns: [],
        lastIndex: none,
        applied: none,
        entries: [],
        maxCachedBytes,
      });
      let term = 1;
      for (const { kind, by } of steps) {
        const last = plain.entries.length;
        if (kind === "append" || kind === "rewrite") {
          const first = kind === "append" ? last + 1 : Math.max(plain.applied + 1, last - by);
          if (kind === "rewrite") term += 1;
          const entries = Array.from({ length: by + 1 }, (_, place) => entry(first + place, term));
          if (first <= last) log.truncateFrom(logIndex(first));
          log.append(entries);
          plain.write(entries);
        } else if (kind === "sync") {
          const synced = plain.sync();
          if (synced !== undefined) log.syncedThrough({ index: synced.index, term: synced.term });
        } else if (kind === "apply") {
          plain.applied = Math.min(plain.applied + by, log.persisted);
          log.appliedThrough(logIndex(plain.applied));
        } else {
          plain.base = Math.min(plain.base + by, plain.applied);
          log.trimThrough(logIndex(plain.base));
        }
        assertSame(log, plain, maxCachedBytes);
      }
    }),
    { numRuns: 300 },
  );
});

function assertSame(log: RaftLog, plain: PlainLog, maxCachedBytes: number): void {
  const { entries, base, applied } = plain;
  assert.equal(log.last.index, entries.length);
  // Of an append that was rewritten in part it believes nothing, until the next one is synced.
  assert.ok(log.persisted <= plain.persisted, `${log.persisted} persisted, the disk has ${plain.persisted}`);
  if (plain.writes.length === 0) assert.equal(log.persisted, plain.persisted);
  assert.equal(log.base.index, base);
  for (let index = base + 1; index <= entries.length; index += 1) {
    assert.equal(log.termAt(logIndex(index)), entries[index - 1]?.term);
    const slice = log.slice(logIndex(index), 2 * entryBytes(entry(1, 1)));
    if (index > applied) assert.ok(slice !== undefined, `${index} is not applied, and not in memory`);
    if (slice === undefined) continue;
    assert.ok(slice.length > 0 && slice.length <= 3);
    assert.deepEqual(slice, entries.slice(index - 1, index - 1 + slice.length));
  }
  const cached = entries.slice(base, applied).filter(({ index }) => log.slice(index, 1) !== undefined);
  assert.ok(
    cached.reduce((sum, each) => sum + entryBytes(each), 0) <= maxCachedBytes,
    "more applied bytes than allowed",
  );
  assert.deepEqual(log.between(logIndex(applied + 1), log.last.index), entries.slice(applied));
}
