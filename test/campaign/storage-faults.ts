import { rmSync, statSync } from "node:fs";
import { damage, flipBits, levelFiles, levelFolder } from "../support/disk-faults.ts";
import { readReplica } from "../support/replicas-on-disk.ts";
import { between, pick, type Random, shuffled } from "../support/seeded-random.ts";
import { type Fault, type Field, isAlways, type Undo } from "./field.ts";
import type { NodeGrip } from "./grips.ts";

const restLastsMs = { from: 0, to: 1500 };
/** More than this is room for small things; less than `minFreeBytes`, so that it takes no more replicas. */
const nearlyFullBytes = 512 << 10;

/** What happens to disks: full, bits flipped, a file removed. The rules say where. */
export const storageFaults: readonly Fault[] = [
  {
    name: "full disk",
    weight: 2,
    lastsMs: { from: 500, to: 4000 },
    suits: ({ smallDisks }) => smallDisks.size > 0,
    strike: (field, random) => fillDisk(field, random),
  },
  {
    name: "flip bits in replicas",
    weight: 2,
    lastsMs: restLastsMs,
    suits: isAlways,
    strike: async (field, random) => {
      const grip = pick(field.grips, random);
      const paths = await replicasToStrike(field, grip, random);
      if (paths.length === 0) return undefined;
      await grip.takeDown("kill");
      for (const path of paths) flipOne(path, random);
      return () => grip.letUp();
    },
  },
  {
    name: "remove replicas by hand",
    weight: 2,
    lastsMs: { from: 0, to: 0 },
    suits: isAlways,
    strike: async (field, random) => {
      const paths = await replicasToStrike(field, pick(field.grips, random), random);
      if (paths.length === 0) return undefined;
      for (const path of paths) rmSync(path, { force: true });
      return () => undefined;
    },
  },
  {
    name: "flip bits in the log",
    weight: 2,
    lastsMs: restLastsMs,
    suits: isAlways,
    strike: (field, random) => flipMetadata(field, ["log"], random),
  },
  {
    name: "flip bits in the catalog",
    weight: 2,
    lastsMs: restLastsMs,
    suits: isAlways,
    strike: (field, random) => flipMetadata(field, ["catalog"], random),
  },
  {
    name: "flip bits in log and catalog",
    weight: 1,
    lastsMs: restLastsMs,
    suits: isAlways,
    strike: (field, random) => flipMetadata(field, ["log", "catalog"], random),
  },
];

function fillDisk({ smallDisks, rules }: Field, random: Random): Undo {
  const [id, disk] = pick([...smallDisks], random);
  rules.diskFull(id);
  disk.fill(random() < 0.5 ? 0 : nearlyFullBytes);
  return () => {
    disk.free();
    rules.diskFreed(id);
  };
}

/** One bit anywhere in a file. */
function flipOne(path: string, random: Random): void {
  const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (sizeBytes > 0) damage(path, Math.floor(random() * sizeBytes), 1 << Math.floor(random() * 8));
}

async function flipMetadata(field: Field, kinds: readonly ("log" | "catalog")[], random: Random): Promise<Undo> {
  const victim = pick(field.rules.victims, random);
  const grip = field.grips.find(({ id }) => id === victim);
  if (grip === undefined) throw new RangeError(`${victim} is no node of this cluster`);
  await grip.takeDown("kill");
  for (const kind of kinds) {
    flipBits(
      levelFiles(levelFolder(grip.member.dataDir, kind)),
      Math.ceil(between({ from: 0, to: 3 }, random)),
      random,
    );
  }
  return () => grip.letUp();
}

const maxStruck = 4;
const maxTried = 40;

/** Up to four replicas on a node's disk that may be struck; they count as struck now. */
async function replicasToStrike(field: Field, grip: NodeGrip, random: Random): Promise<readonly string[]> {
  await Promise.all([...field.replicas.values()].map((index) => index.refresh()));
  const candidates = shuffled(field.ledger.unchanged(), random).slice(0, maxTried);
  const chosen: string[] = [];
  for (const { name, sha256 } of candidates) {
    if (chosen.length === maxStruck) break;
    const path = field.replicas.get(grip.id)?.pathOf(sha256);
    const isElsewhere = field.grips.some(
      (other) => other !== grip && isIntact(field.replicas.get(other.id)?.pathOf(sha256)),
    );
    if (path === undefined || !isIntact(path) || !isElsewhere || field.rules.isStruck(sha256)) continue;
    field.ledger.spare(name);
    field.rules.strike(sha256);
    chosen.push(path);
  }
  return chosen;
}

function isIntact(path: string | undefined): boolean {
  return path !== undefined && readReplica(path).some(({ intact }) => intact);
}
