import assert from "node:assert/strict";
import { test } from "node:test";
import { History, type HistorySetup } from "./history.ts";
import { reigns } from "./reigns.ts";
import { wander } from "./wander.ts";

// Random histories, each from one seed that replays exactly; every step is checked.
// DEPOSITO_TEST_SEEDS=5000 plays so many of each kind, DEPOSITO_TEST_SEED=123 only that one.

const onlySeed = Number(process.env["DEPOSITO_TEST_SEED"] ?? 0);

interface Explored {
  elections: number;
  reads: number;
  commits: number;
  changes: number;
}

function explore(what: Omit<HistorySetup, "seed">, shortSeeds: number, play: (history: History) => void): Explored {
  const total: Explored = { elections: 0, reads: 0, commits: 0, changes: 0 };
  const seeds = Number(process.env["DEPOSITO_TEST_SEEDS"] ?? shortSeeds);
  for (let seed = onlySeed || 1; seed <= (onlySeed || seeds); seed += 1) {
    const history = new History({ ...what, seed });
    try {
      play(history);
      history.end();
    } catch (cause) {
      const which = `${what.voters} voters, ${what.spares} spares, seed ${seed}`;
      throw new Error(`${which}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
    const { elections, confirmedReads, highestCommitted, changes } = history.checker;
    total.elections += elections;
    total.reads += confirmedReads;
    total.commits += highestCommitted;
    total.changes += changes;
  }
  return total;
}

/** That the histories came to something; not asked of a single seed. */
function assertReached(total: Explored, least: Partial<Explored>): void {
  for (const [what, count] of Object.entries(least))
    assert.ok(onlySeed > 0 || total[what as keyof Explored] > count, JSON.stringify(total));
}

test("Raft: random histories of three nodes keep every safety property, and end healthy", () => {
  const total = explore({ voters: 3, spares: 0 }, 150, (history) => wander(history, 1500));
  assertReached(total, { elections: 200, reads: 1500, commits: 3000 });
});

test("Raft: random histories of five nodes keep every safety property, and end healthy", () => {
  const total = explore({ voters: 5, spares: 0 }, 40, (history) => wander(history, 2000));
  assertReached(total, { elections: 50, reads: 300, commits: 600 });
});

test("Raft: random histories with changing members keep every safety property, and end healthy", () => {
  const total = explore({ voters: 3, spares: 3 }, 60, (history) => wander(history, 2000));
  assertReached(total, { elections: 60, reads: 300, commits: 1000, changes: 30 });
});

test("Raft: short reigns in a group of three keep every safety property, and end healthy", () => {
  const total = explore({ voters: 3, spares: 0 }, 100, (history) => reigns(history, 80));
  assertReached(total, { elections: 1000, reads: 500, commits: 3000 });
});

test("Raft: short reigns in a group of five keep every safety property, and end healthy", () => {
  const total = explore({ voters: 5, spares: 0 }, 100, (history) => reigns(history, 80));
  assertReached(total, { elections: 1000, reads: 500, commits: 3000 });
});

test("Raft: short reigns with changing members keep every safety property, and end healthy", () => {
  const total = explore({ voters: 3, spares: 3 }, 100, (history) => reigns(history, 80));
  assertReached(total, { elections: 600, reads: 500, commits: 3000, changes: 300 });
});
