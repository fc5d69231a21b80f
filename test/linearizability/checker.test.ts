import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkHistory, type Invocation } from "./checker.ts";
import { type FileOperation, type FileResult, type FileState, perform } from "./file-model.ts";

// ── histories by hand: at(process, call, return, operation, result) ──

let clients = 0;

function at(calledAt: number, returnedAt: number, operation: FileOperation, result: FileResult): Invocation {
  return { process: `c${clients++}`, name: "file", operation, calledAt, outcome: { returnedAt, result } };
}

function unknown(calledAt: number, operation: FileOperation): Invocation {
  return { process: `c${clients++}`, name: "file", operation, calledAt, outcome: undefined };
}

const deposit = (value: string): FileOperation => ({ type: "deposit", value });
const create = (value: string): FileOperation => ({ type: "create", value });
const swap = (expected: string, value: string): FileOperation => ({ type: "compare-and-set", expected, value });
const remove: FileOperation = { type: "delete" };
const retrieve: FileOperation = { type: "retrieve" };

const created: FileResult = { type: "deposited", how: "created" };
const replaced: FileResult = { type: "deposited", how: "replaced" };
const refused: FileResult = { type: "precondition-failed" };
const deleted: FileResult = { type: "deleted" };
const missing: FileResult = { type: "missing" };
const found = (value: string): FileResult => ({ type: "found", value });

function accepts(...history: Invocation[]): void {
  assert.equal(checkHistory(history).type, "linearizable");
}
function rejects(...history: Invocation[]): void {
  assert.equal(checkHistory(history).type, "violation");
}

test("Checker: overlapping operations may be ordered either way", () => {
  accepts(at(0, 10, deposit("a"), created), at(1, 9, retrieve, missing), at(2, 8, retrieve, found("a")));
  accepts(at(0, 10, deposit("a"), replaced), at(0, 10, deposit("b"), created), at(11, 12, retrieve, found("a")));
});

test("Checker: a stale read after an acknowledged deposit is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 3, deposit("b"), replaced), at(4, 5, retrieve, found("a")));
});

test("Checker: two reads that see two overlapping deposits in turn and back are rejected", () => {
  rejects(
    at(0, 1, deposit("a"), created),
    at(2, 20, deposit("b"), replaced),
    at(3, 4, retrieve, found("b")),
    at(5, 6, retrieve, found("a")),
  );
});

test("Checker: a lost update is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 10, swap("a", "b"), replaced), at(2, 10, swap("a", "c"), replaced));
});

test("Checker: two winners of create-only are rejected", () => {
  rejects(at(0, 10, create("a"), created), at(0, 10, create("b"), created));
  accepts(at(0, 10, create("a"), created), at(0, 10, create("b"), refused));
  accepts(at(0, 10, create("a"), created), at(0, 10, create("b"), created), at(0, 10, remove, deleted));
});

test("Checker: a create-only refused while nothing stood there is rejected", () => {
  rejects(at(0, 1, create("a"), refused));
});

test("Checker: a value that was never deposited is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(0, 5, retrieve, found("z")));
});

test("Checker: a value read before its deposit was called is rejected", () => {
  rejects(at(0, 1, retrieve, found("a")), at(2, 3, deposit("a"), created));
});

test("Checker: a deleted file that comes back is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 3, remove, deleted), at(4, 5, retrieve, found("a")));
});

test("Checker: an acknowledged file that is gone is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 3, retrieve, missing));
});

test("Checker: a file deleted twice is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 9, remove, deleted), at(2, 9, remove, deleted));
});

test("Checker: a compare-and-set that succeeds on a wrong tag is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 3, swap("x", "b"), replaced));
});

test("Checker: a compare-and-set refused on the right tag is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 3, swap("a", "b"), refused));
});

test("Checker: deposits that were acknowledged one after the other are not reordered", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 3, deposit("b"), replaced), at(4, 5, swap("a", "c"), replaced));
});

test("Checker: created where something stood, or replaced where nothing did, is rejected", () => {
  rejects(at(0, 1, deposit("a"), created), at(2, 3, deposit("b"), created));
  rejects(at(0, 1, deposit("a"), replaced));
});

test("Checker: an unknown deposit may have happened, at any later time, or never", () => {
  accepts(unknown(0, deposit("a")), at(1, 2, retrieve, missing), at(3, 4, retrieve, found("a")));
  accepts(unknown(0, deposit("a")), at(1, 2, retrieve, missing), at(3, 4, create("b"), created));
  accepts(unknown(0, deposit("a")), at(1, 2, create("b"), refused));
});

test("Checker: an unknown deposit does not take effect before it was called, nor twice", () => {
  rejects(at(0, 1, retrieve, found("a")), unknown(2, deposit("a")));
  rejects(
    unknown(0, deposit("a")),
    at(1, 2, retrieve, found("a")),
    at(3, 4, deposit("b"), replaced),
    at(5, 6, retrieve, found("a")),
  );
});

test("Checker: unknown operations may need each other", () => {
  accepts(unknown(0, deposit("a")), unknown(0, swap("a", "b")), at(1, 2, retrieve, found("b")));
  accepts(at(0, 1, deposit("a"), created), unknown(2, remove), unknown(2, create("b")), at(5, 6, retrieve, found("b")));
  rejects(at(0, 1, deposit("a"), created), unknown(2, create("b")), at(5, 6, retrieve, found("b")));
});

test("Checker: names do not mix, and the violation says which one", () => {
  const other = { ...at(0, 1, deposit("a"), created), name: "other" };
  accepts(other, at(2, 3, retrieve, missing));
  const verdict = checkHistory([
    other,
    { ...at(2, 3, retrieve, missing), name: "other" },
    at(0, 1, create("b"), created),
  ]);
  assert.equal(verdict.type === "violation" && verdict.name, "other");
});

test("Checker: a limit that is reached is neither yes nor no", () => {
  // Twelve writers and a value nobody wrote: every order of the writers would have to be tried.
  const writers = Array.from({ length: 12 }, (_, index) => at(0, 100, deposit(`v${index}`), replaced));
  const history = [at(0, 0, deposit("first"), created), ...writers, at(101, 102, retrieve, found("never"))];
  assert.equal(checkHistory(history, { maxSteps: 50, maxMs: 10_000 }).type, "undecided");
  assert.equal(checkHistory(history).type, "violation");
});

// ── histories made by a sequential run whose operations are then stretched until they overlap ──

interface Step {
  readonly operation: FileOperation;
  readonly before: number;
  readonly after: number;
  readonly isLost: boolean;
  readonly happens: boolean;
}

const values = ["a", "b", "c", "d"];
const operations: fc.Arbitrary<FileOperation> = fc.oneof(
  fc.constantFrom(...values).map(deposit),
  fc.constantFrom(...values).map(create),
  fc.tuple(fc.constantFrom(...values), fc.constantFrom(...values)).map(([expected, value]) => swap(expected, value)),
  fc.constant(remove),
  fc.constant(retrieve),
);
const stretch = fc.integer({ min: 0, max: 40 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ operation: operations, before: stretch, after: stretch, isLost: fc.boolean(), happens: fc.boolean() }),
  { minLength: 1, maxLength: 40 },
);

/** A correct history: operation k takes effect at 10 k, is called up to 40 earlier and returns up to 40 later, or never. */
function correctHistory(made: readonly Step[], lostShare: number): Invocation[] {
  let state: FileState;
  return made.map(({ operation, before, after, isLost, happens }, index) => {
    const unanswered = isLost && index % lostShare === 0;
    const performed = perform(state, operation);
    if (!unanswered || happens) state = performed.state;
    const effectAt = 10 * index;
    return {
      process: `c${index}`,
      name: "file",
      operation,
      calledAt: effectAt - before,
      outcome: unanswered ? undefined : { returnedAt: effectAt + after, result: performed.result },
    };
  });
}

test("Checker: every history of a correct file is accepted, also with lost answers", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 5 }), (made, lostShare) => {
      assert.equal(checkHistory(correctHistory(made, lostShare)).type, "linearizable");
    }),
    { numRuns: 500 },
  );
});

/** Tries every order: slow, and so simple that it is right. */
function isLinearizable(history: readonly Invocation[], state: FileState): boolean {
  if (history.every(({ outcome }) => outcome === undefined)) return true;
  return history.some((next, index) => {
    if (history.some(({ outcome }) => outcome !== undefined && outcome.returnedAt < next.calledAt)) return false;
    const performed = perform(state, next.operation);
    const fits = next.outcome === undefined || JSON.stringify(next.outcome.result) === JSON.stringify(performed.result);
    return fits && isLinearizable(history.toSpliced(index, 1), performed.state);
  });
}

test("Checker: on small histories with false results it says what trying every order says", () => {
  const results: fc.Arbitrary<FileResult> = fc.constantFrom<FileResult>(
    created,
    replaced,
    refused,
    deleted,
    missing,
    found("a"),
    found("b"),
  );
  const verdicts = { linearizable: 0, violation: 0 };
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          operation: operations,
          before: stretch,
          after: stretch,
          isLost: fc.boolean(),
          happens: fc.boolean(),
        }),
        {
          minLength: 2,
          maxLength: 7,
        },
      ),
      fc.nat(6),
      results,
      (made, which, result) => {
        const history = correctHistory(made, 2).map((invocation, index) =>
          index === which && invocation.outcome !== undefined
            ? { ...invocation, outcome: { ...invocation.outcome, result } }
            : invocation,
        );
        const expected = isLinearizable(history, undefined) ? "linearizable" : "violation";
        verdicts[expected]++;
        assert.equal(checkHistory(history).type, expected);
      },
    ),
    { numRuns: 1000 },
  );
  assert.ok(verdicts.linearizable > 50 && verdicts.violation > 50, JSON.stringify(verdicts));
});

test("Checker: a long history with many clients and lost answers is decided within a second", () => {
  const made = fc.sample(
    fc.array(
      fc.record({
        operation: operations,
        before: stretch,
        after: stretch,
        isLost: fc.boolean(),
        happens: fc.boolean(),
      }),
      {
        minLength: 2000,
        maxLength: 2000,
      },
    ),
    { seed: 7, numRuns: 1 },
  )[0];
  assert.ok(made);
  const startedAt = performance.now();
  assert.equal(checkHistory(correctHistory(made, 4)).type, "linearizable");
  assert.ok(performance.now() - startedAt < 1000, `${performance.now() - startedAt} ms`);
});
