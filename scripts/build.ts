import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Writes dist/, what the package publishes: plain JavaScript beside its type declarations, for Node 24 and newer.
const root = fileURLToPath(new URL("..", import.meta.url));
const bin = `${root}dist/node/main.js`;

rmSync(`${root}dist`, { recursive: true, force: true });
const compiled = spawnSync(`${root}node_modules/.bin/tsc`, ["-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

if (!readFileSync(bin, "utf8").startsWith("#!/usr/bin/env node\n")) {
  process.stderr.write(`${bin} does not begin with #!/usr/bin/env node: it could not be run as a command.\n`);
  process.exit(1);
}
chmodSync(bin, 0o755);
process.stdout.write("dist/ is built; try: node dist/node/main.js --help\n");
