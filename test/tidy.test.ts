import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

// What the linters cannot say about the source, each rule as one test.

const root = fileURLToPath(new URL("..", import.meta.url));
const maxLines = 400;

interface SourceFile {
  /** Relative to the root, with `/`. */
  readonly path: string;
  readonly lines: readonly string[];
}

const sources: readonly SourceFile[] = ["node", "scripts", "test", "bench", "client"].flatMap(readSources);

function readSources(folder: string): SourceFile[] {
  if (!existsSync(join(root, folder))) return []; // not every folder exists from the start
  return readdirSync(join(root, folder), { recursive: true })
    .map(String)
    .filter((name) => /\.(ts|mjs)$/.test(name))
    .map((name) => join(root, folder, name))
    .map((file) => ({
      path: relative(root, file).replaceAll("\\", "/"),
      lines: readFileSync(file, "utf8").split("\n"),
    }));
}

/** `path:line: text` for each line of the chosen files that matches. */
function findings(pattern: RegExp, isChosen: (path: string) => boolean): string[] {
  return sources
    .filter(({ path }) => isChosen(path))
    .flatMap(({ path, lines }) =>
      lines.flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
    );
}

test("Tidy: the source is found", () => {
  assert.ok(
    sources.some(({ path }) => path.startsWith("node/raft/")),
    "node/raft/ was not read",
  );
});

test(`Tidy: no file of node/ has more than ${maxLines} lines`, () => {
  const long = sources.filter(({ path, lines }) => path.startsWith("node/") && lines.length > maxLines);
  assert.deepEqual(
    long.map(({ path, lines }) => `${path}: ${lines.length} lines`),
    [],
  );
});

test("Tidy: nothing is left to do in a comment", () => {
  const marks = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`);
  assert.deepEqual(
    findings(marks, () => true),
    [],
  );
});

test("Tidy: time and chance reach the pure parts only as arguments", () => {
  const impure =
    /\b(Date\.now|new Date\(\)|performance\.now|Math\.random|crypto\.random\w+|randomUUID|set(Timeout|Interval|Immediate)|process\.(hrtime|nextTick))\b/;
  assert.deepEqual(
    findings(impure, (path) => /^node\/(raft|catalog)\//.test(path)),
    [],
  );
});

test("Tidy: the pure parts never wait", () => {
  const waiting = /\b(async|await|new Promise)\b/;
  assert.deepEqual(
    findings(waiting, (path) => path.startsWith("node/raft/")).filter((line) => !/:\d+: (\/\/|\/?\*)/.test(line)),
    [],
  );
});

test("Tidy: elsewhere in node/ they come from base/ or the composition root", () => {
  const clockless = /\b(Math\.random|Date\.now)\b/;
  assert.deepEqual(
    findings(clockless, (path) => path.startsWith("node/") && !/^node\/(base\/(clock|chance)|main)\.ts$/.test(path)),
    [],
  );
});

test("Tidy: a switch over the type of a union has no default, so that a new member is not forgotten", () => {
  const defaults = sources.flatMap(({ path, lines }) => {
    let indent: string | undefined; // of the switch that the line is in
    return lines.flatMap((line, at) => {
      indent = /^( *)switch \(.*\btype\) \{$/.exec(line)?.[1] ?? indent;
      if (indent === undefined) return [];
      if (line === `${indent}  default:`) return [`${path}:${at + 1}`];
      if (line === `${indent}}`) indent = undefined;
      return [];
    });
  });
  assert.deepEqual(defaults, []);
});

test("Tidy: only node/storage/system/level-database.ts opens LevelDB", () => {
  const opener = /from "(level|classic-level|abstract-level)"|import\("(level|classic-level)"\)/;
  const isTypeOnly = /: import type /;
  assert.deepEqual(
    findings(opener, (path) => path.startsWith("node/") && path !== "node/storage/system/level-database.ts").filter(
      (line) => !isTypeOnly.test(line),
    ),
    [],
  );
});

test("Tidy: only node/storage/system/ touches files, and node/config.ts the configuration's", () => {
  const files = /from "(node:)?fs(\/promises)?"/;
  assert.deepEqual(
    findings(files, (path) => path.startsWith("node/") && !/^node\/(storage\/system\/|config\.ts$)/.test(path)),
    [],
  );
});

test("Tidy: no test is left alone or left out", () => {
  const narrowed = /\b(test|it|describe|suite)\.(only|skip|todo)\(/;
  assert.deepEqual(
    findings(narrowed, (path) => path.endsWith(".test.ts")),
    [],
  );
});

test("Tidy: the lint rules and the type checker are not switched off in place", () => {
  const directive = new RegExp(`@ts-${"(ignore|nocheck)"}|(oxlint|eslint|biome)-(disable|ignore)`);
  assert.deepEqual(
    findings(directive, (path) => path !== "test/tidy.test.ts"),
    [],
  );
});

test("Tidy: package-lock.json names every optional package of every platform, or `npm ci` would refuse it", () => {
  // npm leaves out what the registry at hand lacks, and then calls its own file incomplete.
  interface Locked {
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  }
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`node_modules/${name}` in lock.packages) && !(`${path}/node_modules/${name}` in lock.packages),
    ),
  );
  assert.deepEqual(missing, []);
});
