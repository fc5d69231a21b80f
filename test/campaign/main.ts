import { writeFileSync } from "node:fs";
import { runCampaign } from "./campaign.ts";
import { measureFailover, measurePauses } from "./measures.ts";
import { brokenText, campaignText, progressText } from "./report.ts";

export interface CampaignArguments {
  readonly minutes: number;
  /** Undefined: three and five in turn. */
  readonly nodes: number | undefined;
  readonly seed: number;
  readonly roundSeconds: number;
  /** A file for the whole coverage, all pairs included. */
  readonly json: string | undefined;
}

const progressEveryMs = 15_000;
const secondSignalMs = 1000;

// What scripts/campaign.ts runs in the foreground. Each answers the exit code: 1 when a promise was broken.

/** Kills of the leader, and how long nothing is acknowledged then. */
export async function failover(times: number): Promise<number> {
  return (await measureFailover(times, stopSignal(), sayLine)) ? 0 : 1;
}

/** Pauses of the leader, and what it answers when it wakes up. */
export async function pauses(times: number): Promise<number> {
  return (await measurePauses(times, stopSignal(), sayLine)) ? 0 : 1;
}

function sayLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A campaign of rounds. Ctrl-C ends it with audits and table, a second one at once. */
export async function rounds({ minutes, nodes, seed, roundSeconds, json }: CampaignArguments): Promise<number> {
  const startedMs = performance.now();
  const elapsedMs = () => performance.now() - startedMs;
  const say = progressLine();
  process.stdout.write(`Seed ${seed}, ${minutes} minutes, ${nodes ?? "3 and 5"} nodes\n`);
  const report = await runCampaign({
    durationMs: minutes * 60_000,
    sizes: nodes === undefined ? [3, 5] : [nodes],
    seed,
    roundMs: roundSeconds * 1000,
    stop: stopSignal(),
    progress: (progress) => say(progressText(progress, elapsedMs())),
  });
  process.stdout.write(`\n${campaignText(report, elapsedMs())}\n`);
  if (json !== undefined) {
    const { coverage, ...others } = report;
    const pairs = Object.fromEntries(coverage.pairs());
    writeFileSync(json, `${JSON.stringify({ seed, ...others, faults: coverage.rows(), pairs }, null, 2)}\n`);
  }
  if (report.broken === undefined) return 0;
  process.stdout.write(`\n${brokenText(report, seed)}\n`);
  return 1;
}

/** On a terminal one line that changes; else a line now and then. */
function progressLine(): (text: string) => void {
  let saidMs = Number.NEGATIVE_INFINITY;
  return (text) => {
    if (process.stdout.isTTY) {
      process.stdout.write(`\r\u001b[K${text}`);
    } else if (performance.now() - saidMs >= progressEveryMs) {
      saidMs = performance.now();
      process.stdout.write(`${text}\n`);
    }
  };
}

function stopSignal(): AbortSignal {
  const stop = new AbortController();
  let firstMs: number | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      firstMs ??= performance.now();
      // A terminal and npm may both deliver one Ctrl-C.
      if (performance.now() - firstMs > secondSignalMs) process.exit(130);
      if (!stop.signal.aborted) process.stdout.write("\nEnding: what is under way is judged still; again to quit.\n");
      stop.abort();
    });
  }
  return stop.signal;
}
