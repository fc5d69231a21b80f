import { globSync, statSync } from "node:fs";
import { PassThrough } from "node:stream";
import { run } from "node:test";
import { spec, type TestEvent } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

// Runs every test that needs nothing but Node: first those of one process, two files at a time, then test/cluster/, which
// starts real clusters, one file after the other. All of them end in one summary.

const usage = `npm test [-- [--name PATTERN] [--parallel N] FILE|FOLDER|GLOB …]

  --name PATTERN   only tests whose title matches the regular expression
  --parallel N     so many files at a time, 2 if left out; files of test/cluster/ always run alone
`;
const root = fileURLToPath(new URL("..", import.meta.url));
const unitLimitMs = 120_000;
const clusterLimitMs = 300_000;

const { values, positionals } = parseArgs({
  options: {
    name: { type: "string", multiple: true, default: [] },
    parallel: { type: "string", default: "2" },
    help: { type: "boolean", short: "h", default: false },
  },
  allowPositionals: true,
});

type Counts = Record<"tests" | "suites" | "passed" | "failed" | "cancelled" | "skipped" | "todo", number>;

const totals: Counts = { tests: 0, suites: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 };
let failedFiles = 0;

/** One file in a process of its own, ended when it exceeds its limit; hands each event on as it comes. */
async function runFile(file: string, limitMs: number, report: (event: TestEvent) => void): Promise<void> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Error(`${file} exceeded its limit of ${limitMs / 1000} s`)), limitMs);
  const stream = run({ files: [file], cwd: root, testNamePatterns: values.name, signal: limit.signal });
  let succeeded = false;
  for await (const event of stream as AsyncIterable<TestEvent>) {
    if (event.type === "test:summary" && event.data.file === undefined) {
      succeeded = event.data.success;
      const counts = event.data.counts as unknown as Counts; // its published type lacks `failed`
      for (const key of Object.keys(totals) as (keyof Counts)[]) totals[key] += counts[key];
    } else if (!isClosingLine(event)) report(event);
  }
  clearTimeout(timer);
  if (!succeeded || limit.signal.aborted) failedFiles++;
}

/** `tests 5`, `pass 5` and so on of one file; the sums follow at the end. */
function isClosingLine(event: TestEvent): boolean {
  if (event.type === "test:plan") return event.data.nesting === 0 && event.data.file === undefined;
  return event.type === "test:diagnostic" && event.data.nesting === 0 && event.data.file === undefined;
}

/** Runs the files a few at a time; with more than one, a file's lines appear together once it has ended. */
async function runFiles(files: readonly string[], atOnce: number, limitMs: number, reporter: PassThrough) {
  const waiting = [...files];
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const held: TestEvent[] = [];
      await runFile(file, limitMs, (event) => (atOnce === 1 ? reporter.write(event) : held.push(event)));
      for (const event of held) reporter.write(event);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

function chooseFiles(): string[] {
  const patterns = positionals.length === 0 ? ["test/**/*.test.ts"] : positionals.map(toPattern);
  return [...new Set(globSync(patterns, { cwd: root }))].sort();
}

function toPattern(argument: string): string {
  const isFolder = statSync(new URL(argument, `file://${root}`), { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? `${argument.replace(/\/$/, "")}/**/*.test.ts` : argument;
}

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const files = chooseFiles();
  if (files.length === 0) {
    process.stderr.write(`No test file matches ${positionals.join(" ")}.\n`);
    return 1;
  }
  const isCluster = (file: string) => file.startsWith("test/cluster/");
  const startedAt = performance.now();
  const reporter = new PassThrough({ objectMode: true });
  const printed = new Promise((resolve) =>
    reporter.pipe(spec()).on("end", resolve).pipe(process.stdout, { end: false }),
  );

  await runFiles(
    files.filter((file) => !isCluster(file)),
    Number(values.parallel),
    unitLimitMs,
    reporter,
  );
  await runFiles(files.filter(isCluster), 1, clusterLimitMs, reporter);

  const { passed, failed, ...others } = totals;
  const lines = { ...others, pass: passed, fail: failed, duration_ms: Math.round(performance.now() - startedAt) };
  for (const key of ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo", "duration_ms"] as const) {
    reporter.write({ type: "test:diagnostic", data: { nesting: 0, message: `${key} ${lines[key]}`, level: "info" } });
  }
  reporter.end();
  await printed;
  return failedFiles === 0 ? 0 : 1;
}

process.exitCode = await main();
