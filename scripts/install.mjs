// Plain JavaScript on purpose: whatever Node from 18 on the machine has must be able to read this file.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";

const limitSeconds = 600;
const maxOutput = 20_000;

/** Installs what package-lock.json names, by `npm ci`, unless node_modules holds exactly that already. */
export async function installIfNeeded(root) {
  if (isInstalled(root)) return;
  process.stderr.write("Installing the packages that package-lock.json names (npm ci), once …\n");
  const startedAt = Date.now();
  const stopProgress = showProgress(startedAt);
  const { code, output } = await runNpmCi(root);
  stopProgress();
  if (code !== 0) throw new Error(explainFailure(code, output));
  if (!isInstalled(root)) throw new Error("npm ci ended well, yet node_modules is not what package-lock.json names.");
  process.stderr.write(`Installed in ${seconds(startedAt)} s.\n`);
}

/** Whether every package of the lock file lies in node_modules in the locked version; optional ones may be absent. */
function isInstalled(root) {
  const wanted = packagesOf(join(root, "package-lock.json"));
  const held = packagesOf(join(root, "node_modules", ".package-lock.json"));
  if (wanted === undefined) throw new Error(`${join(root, "package-lock.json")} is missing or damaged.`);
  if (held === undefined) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    const found = held[path];
    if (found === undefined) return entry.optional === true;
    return found.version === entry.version && found.integrity === entry.integrity;
  });
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined; // no such file, or an installation that was broken off: the caller installs
  }
}

function runNpmCi(root) {
  return new Promise((resolve) => {
    const npm = spawn("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"], {
      cwd: root,
      // npm must not run on the very binary under node_modules that it is about to replace.
      env: { ...process.env, PATH: pathWithoutModules() },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const collect = (chunk) => {
      if (output.length < maxOutput) output += chunk;
    };
    npm.stdout.on("data", collect);
    npm.stderr.on("data", collect);
    const timer = setTimeout(() => {
      output += `\ngave up after ${limitSeconds} s`;
      npm.kill("SIGTERM");
    }, limitSeconds * 1000);
    process.once("SIGTERM", () => {
      npm.kill("SIGTERM");
      process.exit(143);
    });
    npm.on("error", (error) => {
      clearTimeout(timer);
      resolve({ code: 127, output: error.message });
    });
    npm.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, output });
    });
  });
}

function pathWithoutModules() {
  const parts = (process.env.PATH ?? "").split(delimiter);
  return parts.filter((part) => !part.endsWith(join("node_modules", ".bin"))).join(delimiter);
}

function showProgress(startedAt) {
  const isTerminal = process.stderr.isTTY === true;
  const timer = setInterval(
    () => process.stderr.write(isTerminal ? `\r  ${seconds(startedAt)} s ` : `  ${seconds(startedAt)} s …\n`),
    isTerminal ? 1000 : 10_000,
  );
  return () => {
    clearInterval(timer);
    if (isTerminal) process.stderr.write("\r            \r");
  };
}

function seconds(startedAt) {
  return Math.round((Date.now() - startedAt) / 1000);
}

function explainFailure(code, output) {
  const isOffline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ECONNRESET|gave up after/.test(output);
  const advice =
    code === 127
      ? "npm was not found: install Node from https://nodejs.org, which brings npm, and run the command again."
      : isOffline
        ? "The package registry was not reached. Check the network or `npm config get registry`, and run the command again."
        : "Run `npm ci` by hand to see all of it.";
  return `The packages could not be installed (npm ci ended with ${code}).\n\n${whatNpmSaid(output)}\n\n${advice}`;
}

/** Its own words, without the manual page that npm puts after some errors. */
function whatNpmSaid(output) {
  const [words = ""] = output.split(/npm error\s+Clean install a project/);
  const lines = words.trimEnd().split("\n");
  return lines.slice(0, 20).join("\n") + (lines.length > 20 ? `\n… and ${lines.length - 20} lines more` : "");
}
