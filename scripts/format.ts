import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

// Rewrites every file in the one format, imports in order; `npm run check` only looks.
const root = fileURLToPath(new URL("..", import.meta.url));
const formatted = spawnSync(`${root}node_modules/.bin/biome`, ["check", "--write", ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
});
process.exitCode = formatted.status ?? 1;
