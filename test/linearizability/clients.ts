import { setTimeout as delay } from "node:timers/promises";
import { pick, type Random, seededRandom } from "../support/seeded-random.ts";
import type { FileOperation } from "./file-model.ts";
import type { NamePool } from "./name-pool.ts";
import type { Recorder } from "./recorder.ts";

export interface ClientsOptions {
  readonly recorder: Recorder;
  readonly names: NamePool;
  /** Goes into every value, so that no other run deposits the same bytes. */
  readonly tag: string;
  readonly count: number;
  /** The nodes to ask, looked up anew for each operation; any of them may be down. */
  readonly nodes: () => readonly string[];
  readonly seed: number;
  readonly end: AbortSignal;
}

/** After a node did not answer: else a client would do nothing but find it gone. */
const refusedPauseMs = 50;

/** Clients, each with one operation after the other on any name through any node, until `end`. */
export async function runClients(options: ClientsOptions): Promise<void> {
  await Promise.all(
    Array.from({ length: options.count }, (_, index) =>
      runClient(`${options.tag}c${index}`, seededRandom(options.seed + 1 + index), options),
    ),
  );
}

async function runClient(process: string, random: Random, { recorder, names, nodes, end }: ClientsOptions) {
  /** What this client last saw or wrote under each name: what it compares with. */
  const seen = new Map<string, string>();
  for (let count = 0; !end.aborted; count++) {
    const name = names.pick(random);
    const operation = chooseOperation(`${process}-${count}`, seen.get(name), random);
    const learned = await recorder.perform(process, pick(nodes(), random), name, operation);
    names.note(name, learned.type === "unknown" && operation.type !== "retrieve");
    if (learned.type !== "result") await delay(refusedPauseMs);
    else if (learned.result.type === "found") seen.set(name, learned.result.value);
    else if (learned.result.type === "deposited" && "value" in operation) seen.set(name, operation.value);
  }
}

/** Every value is new, so that each read tells which deposit it saw. */
function chooseOperation(value: string, expected: string | undefined, random: Random): FileOperation {
  const chance = random();
  if (chance < 0.4) return { type: "retrieve" };
  if (chance < 0.6) return { type: "deposit", value };
  if (chance < 0.7) return { type: "create", value };
  if (chance < 0.8) return { type: "delete" };
  return expected === undefined ? { type: "deposit", value } : { type: "compare-and-set", expected, value };
}
