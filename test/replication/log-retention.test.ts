import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, term } from "../../node/base/ids.ts";
import { type LogHolder, LogRetention, type RetentionLimits } from "../../node/replication/log-retention.ts";
import { ManualClock } from "../support/manual-clock.ts";

const at = (index: number) => ({ index: logIndex(index), term: term(1) });

/** A retention that has seen `through` entries of 100 bytes applied, one at a time. */
function retention(through: number, limits: Partial<RetentionLimits> = {}) {
  const clock = new ManualClock();
  const holders: LogHolder[] = [];
  const kept = new LogRetention({
    clock,
    holders: () => holders,
    keepEntries: 10,
    maxHeldEntries: 1_000_000,
    maxHeldBytes: 1 << 30,
    maxHeldMs: 60_000,
    ...limits,
  });
  for (let index = 1; index <= through; index += 1) kept.applied(at(index), 100);
  return { clock, holders, kept };
}

function pulls(attempt: string, after: number): LogHolder {
  return { attempt, after: logIndex(after) };
}

test("Log retention: the last entries are kept for followers that are a little behind", () => {
  const { kept } = retention(100);
  assert.deepEqual(kept.trimThrough(logIndex(100)), at(90));
  assert.equal(kept.trimThrough(logIndex(100)), undefined, "once");
});

test("Log retention: only what is durable in the catalog is trimmed, though more is applied", () => {
  const { kept } = retention(100);
  assert.deepEqual(kept.trimThrough(logIndex(50)), at(40));
});

test("Log retention: what whoever pulls a snapshot will need is kept, and no more", () => {
  const { kept, holders } = retention(100);
  holders.push(pulls("n2", 70), pulls("n3", 30));
  assert.deepEqual(kept.trimThrough(logIndex(100)), at(30));
  holders.pop();
  assert.deepEqual(kept.trimThrough(logIndex(100)), at(70));
});

test("Log retention: an attempt that takes too long holds nothing any more; the next one has its own time", () => {
  const { kept, holders, clock } = retention(100);
  holders.push(pulls("n2 0", 0));
  assert.equal(kept.trimThrough(logIndex(100)), undefined);
  clock.advance(59_999);
  assert.equal(kept.trimThrough(logIndex(100)), undefined);
  clock.advance(1);
  assert.deepEqual(kept.trimThrough(logIndex(100)), at(90));
  for (let index = 101; index <= 120; index += 1) kept.applied(at(index), 100);
  holders.splice(0, 1, pulls("n2 50", 0));
  assert.equal(kept.trimThrough(logIndex(120)), undefined);
});

test("Log retention: beyond so many entries or bytes the log is held for nobody", () => {
  const many = retention(100, { maxHeldEntries: 30 });
  many.holders.push(pulls("n2", 0));
  assert.deepEqual(many.kept.trimThrough(logIndex(100)), at(70));
  const large = retention(100, { maxHeldBytes: 2000 });
  large.holders.push(pulls("n2", 0));
  assert.deepEqual(large.kept.trimThrough(logIndex(100)), at(80));
  assert.equal(large.kept.trimThrough(logIndex(100)), undefined);
});

test("Log retention: large entries are kept in bytes, not in numbers", () => {
  const { kept } = retention(100, { maxHeldBytes: 500 });
  assert.deepEqual(kept.trimThrough(logIndex(100)), at(95));
});

test("Log retention: much to trim is trimmed in several goes", () => {
  const { kept } = retention(100_000);
  assert.deepEqual(kept.trimThrough(logIndex(100_000)), at(32_769));
  assert.deepEqual(kept.trimThrough(logIndex(100_000)), at(65_538));
});

test("Log retention: with many entries to keep not every batch is remembered", () => {
  const { kept } = retention(1000, { keepEntries: 640 });
  assert.deepEqual(kept.trimThrough(logIndex(1000)), at(360), "every tenth");
});

test("Log retention: after another catalog took the place of this one, nothing before it can be trimmed", () => {
  const { kept } = retention(100);
  kept.replaced();
  assert.equal(kept.trimThrough(logIndex(100)), undefined);
});
