import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** One question about the code, and the command that answers it by its exit code. */
interface Check {
  readonly name: string;
  readonly command: readonly [tool: string, ...args: string[]];
}

const checks: readonly Check[] = [
  { name: "types (tsc)", command: ["tsc", "-p", "tsconfig.json"] },
  { name: "lint, promises and layers (oxlint)", command: ["oxlint", "--type-aware", "--deny-warnings"] },
  { name: "format (biome)", command: ["biome", "check", "--diagnostic-level=warn"] },
  { name: "dead code (knip)", command: ["knip", "--no-progress"] },
  { name: "tidiness (test/tidy.test.ts)", command: ["node", "--test", "--test-reporter=dot", "test/tidy.test.ts"] },
];

// All of them run even after one has failed, so that one look shows everything.
const root = fileURLToPath(new URL("..", import.meta.url));
const failed: string[] = [];
for (const { name, command } of checks) {
  process.stdout.write(`\n── ${name}\n`);
  const [tool, ...args] = command;
  const binary = tool === "node" ? process.execPath : `${root}node_modules/.bin/${tool}`;
  const startedAt = performance.now();
  const run = spawnSync(binary, args, { cwd: root, stdio: "inherit", timeout: 300_000 });
  const passed = run.status === 0;
  process.stdout.write(`${passed ? "✔" : "✖"} ${name}, ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
  if (!passed) failed.push(name);
}

process.stdout.write(failed.length === 0 ? "\nAll checks passed.\n" : `\nFailed: ${failed.join("; ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
