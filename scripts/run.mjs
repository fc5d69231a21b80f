// What every npm script goes through: `node scripts/run.mjs start …` makes sure of the packages and of a Node that reads
// TypeScript, and then runs scripts/start.ts with it. Plain JavaScript that Node 18 can read.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { installIfNeeded } from "./install.mjs";

const oldestNode = 24; // the first that runs TypeScript by itself and without a flag

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [script = "", ...args] = process.argv.slice(2);
const file = join(root, script.includes("/") ? script : `scripts/${script}.ts`);

await runWith(await prepare());

/** Answers the Node to run the script with; whatever is missing for that is told in plain words. */
async function prepare() {
  try {
    if (!existsSync(file)) throw new Error(`There is no ${file}.`);
    await installIfNeeded(root);
    return chooseNode();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

/** The Node that came with the packages, or else the one that runs this, if it is young enough. */
function chooseNode() {
  const own = join(root, "node_modules", ".bin", "node");
  if (existsSync(own) && spawnSync(own, ["--version"]).status === 0) return own;
  if (majorOf(process.version) >= oldestNode) return process.execPath;
  throw new Error(
    `Node ${oldestNode} or newer is needed; this machine runs ${process.version}, and no package with a newer one exists ` +
      `for ${process.platform} on ${process.arch}.\nInstall it from https://nodejs.org and run the command again.`,
  );
}

async function runWith(node) {
  if (realpathSync(node) === realpathSync(process.execPath)) {
    process.argv = [process.execPath, file, ...args];
    await import(pathToFileURL(file).href);
    return;
  }
  const child = spawn(node, [file, ...args], {
    stdio: "inherit",
    env: { ...process.env, PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH ?? ""}` },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

function majorOf(version) {
  return Number(version.slice(1).split(".")[0]);
}
