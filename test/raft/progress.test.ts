import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex } from "../../node/base/ids.ts";
import { Progress } from "../../node/raft/progress.ts";

// A leader's picture of one follower, over a network that loses, doubles and reorders. The logs agree up to `agreed`.

interface Append {
  readonly previous: number;
  readonly count: number;
}
type Answer = { readonly matched: number } | { readonly rejected: number; readonly end: number };

const lastIndex = 30;
const maxInflight = 3;

class Pair {
  readonly progress = new Progress({ nextIndex: lastIndex + 1, maxInflight });
  readonly appends: Append[] = [];
  readonly answers: Answer[] = [];
  agreed: number;
  end: number;
  nowMs = 0;

  constructor(agreed: number, surplus: number) {
    this.agreed = agreed;
    this.end = agreed + surplus;
  }

  /** Sends what may be sent, at most three entries at a time. */
  send(): void {
    const { progress } = this;
    for (let sent = 0; progress.maySend(logIndex(lastIndex)); sent += 1) {
      assert.ok(sent <= maxInflight + 1, "the window has no end");
      const previous = progress.nextIndex - 1;
      const count = progress.isWindowFull ? 0 : Math.min(3, lastIndex - previous);
      this.appends.push({ previous, count });
      progress.sent(count, this.nowMs);
    }
  }

  receive({ previous, count }: Append): void {
    if (previous > this.agreed) this.answers.push({ rejected: previous, end: Math.min(this.end, previous) });
    else {
      if (previous + count > this.agreed) this.agreed = previous + count;
      this.end = Math.max(this.end, this.agreed);
      this.answers.push({ matched: previous + count });
    }
  }

  hear(answer: Answer): void {
    const { progress } = this;
    const before = progress.matchIndex;
    if ("matched" in answer) progress.matched(logIndex(answer.matched), logIndex(0));
    // The follower's surplus entries are of older terms, so its guess is where the logs agree, or above.
    else progress.rejected(logIndex(answer.rejected), logIndex(Math.max(this.agreed, 0)), logIndex(answer.end));
    assert.ok(progress.matchIndex >= before || "rejected" in answer, "a match is never taken back by another match");
  }

  check(): void {
    const { progress } = this;
    assert.ok(progress.matchIndex <= this.agreed, `believes ${progress.matchIndex}, agreed ${this.agreed}`);
    assert.ok(progress.nextIndex > progress.matchIndex && progress.nextIndex <= lastIndex + 1);
  }
}

const event = fc.record({
  kind: fc.constantFrom("send", "receive", "receive", "hear", "hear", "beat", "break"),
  place: fc.nat(5),
  fate: fc.constantFrom("arrives", "arrives", "arrives", "doubled", "lost"),
});

test("Progress: whatever is lost, doubled or late, it never believes more than is so, and gets there in the end", () => {
  fc.assert(
    fc.property(fc.nat(lastIndex), fc.nat(5), fc.array(event, { maxLength: 120 }), (agreed, surplus, events) => {
      const pair = new Pair(agreed, surplus);
      for (const { kind, place, fate } of events) {
        pair.nowMs += 10;
        if (kind === "send") pair.send();
        if (kind === "beat") pair.progress.suspectLoss(pair.nowMs, 50, logIndex(lastIndex));
        if (kind === "break") pair.progress.unreachable();
        if (kind === "receive") for (const each of take(pair.appends, place, fate)) pair.receive(each);
        if (kind === "hear") for (const each of take(pair.answers, place, fate)) pair.hear(each);
        pair.check();
      }
      for (let round = 0; round < 100; round += 1) {
        pair.nowMs += 100;
        pair.progress.suspectLoss(pair.nowMs, 50, logIndex(lastIndex));
        pair.send();
        for (const each of pair.appends.splice(0)) pair.receive(each);
        for (const each of pair.answers.splice(0)) pair.hear(each);
        pair.check();
      }
      assert.deepEqual([pair.progress.state, pair.progress.matchIndex], ["replicate", lastIndex]);
    }),
    { numRuns: 500 },
  );
});

function take<T>(from: T[], place: number, fate: string): T[] {
  const at = Math.min(place, from.length - 1);
  const taken = fate === "doubled" ? from.slice(at, at + 1) : from.splice(Math.max(at, 0), 1);
  return fate === "lost" ? [] : taken;
}
