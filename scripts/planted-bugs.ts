import { spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freezeTree } from "./frozen-tree.ts";

/** A bug to put into a copy of the source, so that the campaign shows that it would find it. */
export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  /** Stands there exactly once. */
  readonly right: string;
  readonly wrong: string;
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "reads without a barrier",
    file: "node/replication/replicated-catalog.ts",
    right: "return this.#reads.barrier();",
    wrong: "return Promise.resolve();",
  },
  {
    name: "a leader confirms reads by itself",
    file: "node/raft/leader.ts",
    right: "reads.confirmed(reachedByQuorum(configurations.current, confirmedBy))",
    wrong: "reads.confirmed(confirmedBy(options.id))",
  },
  {
    name: "a retry counts twice",
    file: "node/catalog/apply.ts",
    right: "recentOutcome(this.#overlay, proposal.id) ?? refuseExpired(proposal, index)",
    wrong: "refuseExpired(proposal, index)",
  },
  {
    name: "bytes leave unverified",
    file: "node/storage/blobs/blob-reader.ts",
    right: "await this.#verify(firstBlock, chunk);",
    wrong: "",
  },
  {
    name: "missing replicas are not made",
    file: "node/depot/reconcile.ts",
    right: 'if (this.#row(blobId)?.state === "missing") await this.#make(blobId);',
    wrong: "",
  },
];

export interface PlantedRun {
  readonly bug: PlantedBug;
  readonly isFound: boolean;
  readonly seconds: number;
  /** What the campaign printed. */
  readonly output: string;
}

/** The source with the bug in it. @throws when the source has changed so that the bug does not fit any more. */
export function withBug(source: string, { name, file, right, wrong }: PlantedBug): string {
  const [before, after, ...more] = source.split(right);
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`"${name}" does not fit: ${file} has "${right}" ${more.length > 0 ? "more than once" : "no more"}`);
  return before + wrong + after;
}

/** Runs a campaign with these arguments on a copy of the source with the bug; ends it when `stop` aborts. */
export async function runPlanted(
  root: string,
  bug: PlantedBug,
  campaignArguments: readonly string[],
  stop: AbortSignal,
): Promise<PlantedRun> {
  const folder = freezeTree(root);
  const beganMs = performance.now();
  try {
    const path = join(folder, bug.file);
    writeFileSync(path, withBug(readFileSync(path, "utf8"), bug));
    const { code, output } = await run(join(folder, "scripts", "campaign.ts"), campaignArguments, stop);
    const isFound = code === 1 && output.includes("BROKEN");
    return { bug, isFound, seconds: (performance.now() - beganMs) / 1000, output };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(script: string, campaignArguments: readonly string[], signal: AbortSignal) {
  const child = spawn(process.execPath, [script, ...campaignArguments], { stdio: ["ignore", "pipe", "pipe"] });
  const end = () => child.kill("SIGTERM");
  signal.addEventListener("abort", end, { once: true });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  signal.removeEventListener("abort", end);
  return { code, output };
}
