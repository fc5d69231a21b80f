import type { CampaignProgress, CampaignReport } from "./campaign.ts";
import type { Coverage } from "./coverage.ts";
import type { RoundTally } from "./tally.ts";

const shownPairs = 8;
const shownViolations = 10;

/** One line of progress. */
export function progressText({ round, nodes, phase, faults, tally }: CampaignProgress, elapsedMs: number): string {
  return [
    `${clock(elapsedMs)}  round ${round}, ${nodes} nodes, ${phase}`,
    `${number(faults)} faults`,
    `${number(tally.operations)} operations, ${number(tally.unknown)} unknown`,
    `${number(tally.acknowledged)} acknowledged`,
  ].join(" · ");
}

/** What came of one round, a line each. */
export function roundText(coverage: Coverage, tally: RoundTally): readonly string[] {
  const struck = coverage.rows().filter(({ times }) => times > 0);
  return [struck.map(({ fault, times }) => `${times} × ${fault}`).join(", "), ...totals(tally)];
}

/** What a campaign ends with: which faults there were, alone and together, and what came of it. */
export function campaignText({ rounds, coverage, tally, broken }: CampaignReport, elapsedMs: number): string {
  const kinds = new Set(broken?.violations.map(({ kind }) => kind));
  const count = (kind: string) => broken?.violations.filter((violation) => violation.kind === kind).length ?? 0;
  return [
    coverageText(coverage),
    "",
    `${rounds} rounds in ${clock(elapsedMs)}: ${number(coverage.count)} faults`,
    ...totals(tally),
    `${count("lost")} lost, ${count("non-linearizable")} non-linearizable, ${tally.undecided} undecided` +
      [...kinds]
        .filter((kind) => !["lost", "non-linearizable", "undecided"].includes(kind))
        .map((kind) => `, ${count(kind)} ${kind}`)
        .join(""),
  ].join("\n");
}

function totals(tally: RoundTally): readonly string[] {
  return [
    `${number(tally.operations)} operations on shared names, ${number(tally.unknown)} of them with unknown outcome; ` +
      `${number(tally.withoutEffect)} besides had no effect; ${number(tally.decided)} names decided`,
    `${number(tally.acknowledged)} acknowledged changes of names that were kept; ${number(tally.auditReads)} reads of the audits`,
    `${number(tally.elections)} elections won`,
    `${number(tally.replicas)} replicas seen on disks; litter of failed deposits: ${number(tally.litterFiles)} files, ` +
      `${number(tally.litterBytes)} bytes`,
  ];
}

function coverageText(coverage: Coverage): string {
  const rows = coverage.rows();
  const width = Math.max(...rows.map(({ fault }) => fault.length));
  const line = (fault: string, times: string, seconds: string, forbidden: string) =>
    `${fault.padEnd(width)} ${times.padStart(6)} ${seconds.padStart(8)} ${forbidden.padStart(10)}`;
  const pairs = [...coverage.pairs()].toSorted(([, one], [, other]) => other - one);
  const overlaps = pairs.reduce((sum, [, times]) => sum + times, 0);
  const never = rows.filter(({ times }) => times === 0).map(({ fault }) => fault);
  return [
    line("fault", "times", "seconds", "forbidden"),
    ...rows.map(({ fault, times, seconds, forbidden }) =>
      line(fault, number(times), number(Math.round(seconds)), number(forbidden)),
    ),
    "",
    `Two at a time: ${number(overlaps)} times, ${pairs.length} of at most ${coverage.possiblePairs} pairs; the most frequent:`,
    ...pairs.slice(0, shownPairs).map(([pair, times]) => `  ${number(times).padStart(5)}  ${pair}`),
    never.length === 0 ? "Every kind of fault struck." : `Never struck: ${never.join(", ")}.`,
  ].join("\n");
}

/** What was broken, where to look, and how to see it again. */
export function brokenText({ broken }: CampaignReport, seed: number): string {
  if (broken === undefined) return "";
  const { violations } = broken;
  return [
    `BROKEN in round ${broken.round} (${broken.nodes} nodes, seed of the round ${broken.seed}):`,
    ...violations.slice(0, shownViolations).map(({ kind, text }) => `• ${kind}: ${text}`),
    ...(violations.length > shownViolations ? [`… and ${violations.length - shownViolations} more`] : []),
    "",
    `Kept in ${broken.folder}:`,
    "  violations.txt   all of the above",
    "  history.json     one operation a line, as the clients saw it; the checker judges each name by itself",
    "  ledger.json      what may stand under each name that was kept",
    "  logs/, n1/ …     what each node logged, and its data directory",
    `The same faults again: npm run campaign -- --seed ${seed}`,
    "The seed draws kinds, pauses, durations and victims; processes and disks keep their own time, so no two runs are equal.",
  ].join("\n");
}

export function number(value: number): string {
  return value.toLocaleString("en");
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
