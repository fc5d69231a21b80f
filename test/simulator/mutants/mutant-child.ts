import { mutants } from "./mutants.ts";
import { plant } from "./plant.ts";

// Plays seeds with one bug planted until one of them finds it, and tells on stdout which; started by `hunt.ts`.

const [name, maxSeeds] = process.argv.slice(2);
const mutant = mutants.find((each) => each.name === name);
if (mutant === undefined) throw new Error(`no mutant ${name}`);
const { isPlanted } = plant(mutant);
const { runSeed } = await import("../run-seed.ts");
if (!isPlanted()) throw new Error(`the simulator does not load what "${name}" changes`);

let found: { readonly seed: number; readonly check: string; readonly message: string } | undefined;
for (let seed = 1; seed <= Number(maxSeeds) && found === undefined; seed += 1) {
  const { violation } = await runSeed(seed);
  if (violation !== undefined) found = { seed, check: violation.check, message: violation.message };
}
process.stdout.write(`${JSON.stringify(found ?? null)}\n`);
process.exit(0);
