import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Arena, openArena } from "./arena.ts";
import { Coverage } from "./coverage.ts";
import { allFaults } from "./faults.ts";
import { type Phase, type RoundReport, runRound } from "./round.ts";
import { addTallies, emptyTally, type RoundTally } from "./tally.ts";
import type { Violation } from "./violation.ts";

export interface CampaignOptions {
  readonly durationMs: number;
  /** The sizes of the clusters, taken in turn. */
  readonly sizes: readonly number[];
  readonly seed: number;
  readonly roundMs: number;
  /** Ends it after the audits of the round that is under way. */
  readonly stop: AbortSignal;
  readonly progress: (progress: CampaignProgress) => void;
}

export interface CampaignProgress {
  readonly round: number;
  readonly nodes: number;
  readonly phase: Phase;
  readonly faults: number;
  readonly tally: RoundTally;
}

/** The first round in which a promise was broken; the campaign ends with it. */
export interface BrokenRound {
  readonly round: number;
  readonly nodes: number;
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Where the history, the logs and the data directories lie. */
  readonly folder: string;
}

export interface CampaignReport {
  readonly rounds: number;
  readonly coverage: Coverage;
  readonly tally: RoundTally;
  readonly broken: BrokenRound | undefined;
}

/** Apart enough that the seeds drawn within one round do not meet those of the next. */
const seedsPerRound = 1000;

/**
 * Rounds on a few clusters in turn until the time is over, and a last start of each with all audits. The clusters keep their
 * folders, and what they acknowledged, from the first round to the last.
 */
export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { durationMs, sizes, seed, stop } = options;
  const campaign = new Campaign(options);
  const endsAt = performance.now() + durationMs;
  try {
    for (let round = 0; performance.now() < endsAt && !stop.aborted && !campaign.isBroken; round++) {
      const nodes = sizes[round % sizes.length] ?? 3;
      await campaign.run(nodes, seed + round * seedsPerRound, Math.min(options.roundMs, endsAt - performance.now()));
    }
    for (const nodes of campaign.opened) if (!campaign.isBroken) await campaign.run(nodes, seed, 0);
    return campaign.report();
  } finally {
    await campaign.close();
  }
}

class Campaign {
  readonly #options: CampaignOptions;
  readonly #coverage = new Coverage(allFaults.map(({ name }) => name));
  readonly #arenas = new Map<number, Arena>();
  #rounds = 0;
  #tally = emptyTally();
  #broken: BrokenRound | undefined;

  constructor(options: CampaignOptions) {
    this.#options = options;
  }

  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** The sizes of the clusters there are by now. */
  get opened(): readonly number[] {
    return [...this.#arenas.keys()];
  }

  async run(nodes: number, seed: number, durationMs: number): Promise<void> {
    const round = ++this.#rounds;
    const arena = this.#arenas.get(nodes) ?? (await openArena(nodes));
    this.#arenas.set(nodes, arena);
    const before = this.#tally;
    const report = await runRound({
      arena,
      tag: `r${round}`,
      seed,
      durationMs,
      coverage: this.#coverage,
      stop: this.#options.stop,
      progress: (phase, tally) => {
        const faults = this.#coverage.count;
        this.#options.progress({ round, nodes, phase, faults, tally: addTallies(before, tally) });
      },
    });
    this.#tally = addTallies(before, report.tally);
    if (report.violations.length > 0) this.#broken = keep(arena, { round, nodes, seed }, report);
  }

  report(): CampaignReport {
    return { rounds: this.#rounds, coverage: this.#coverage, tally: this.#tally, broken: this.#broken };
  }

  async close(): Promise<void> {
    for (const [nodes, arena] of this.#arenas) await arena.close(this.#broken?.nodes === nodes ? "keep" : "remove");
  }
}

/** Writes down what is needed to understand a broken round, beside the logs of its nodes. */
function keep(
  arena: Arena,
  round: { readonly round: number; readonly nodes: number; readonly seed: number },
  { violations, history }: RoundReport,
): BrokenRound {
  const { folder } = arena.field.cluster;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "history.json"), history.map((each) => `${JSON.stringify(each)}\n`).join(""));
  writeFileSync(join(folder, "violations.txt"), violations.map(({ kind, text }) => `${kind}: ${text}\n\n`).join(""));
  writeFileSync(join(folder, "ledger.json"), JSON.stringify([...arena.field.ledger.entries.values()], null, 1));
  return { ...round, violations, folder };
}
