import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Mutant } from "./mutants.ts";

/** How a mutant was found; undefined: it survived. */
export interface Catch {
  /** So many seeds it took. */
  readonly seed: number;
  readonly check: string;
  readonly message: string;
}

/** A mutant must be found within so many seeds. */
export const maxSeeds = 100;

const child = fileURLToPath(new URL("mutant-child.ts", import.meta.url));
const run = promisify(execFile);

/** Looks for one planted bug, in a process of its own: a changed module cannot be loaded twice. */
export async function hunt({ name }: Mutant): Promise<Catch | undefined> {
  const { stdout } = await run(process.execPath, [child, name, String(maxSeeds)], { timeout: 600_000 });
  return (JSON.parse(stdout) as Catch | null) ?? undefined;
}
