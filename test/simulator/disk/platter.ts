import { invariant } from "../../../node/base/invariant.ts";
import { systemError } from "./disk-faults.ts";
import { SimulatedDirectory, type Thing } from "./simulated-directory.ts";
import type { SimulatedFile } from "./simulated-file.ts";
import type { SimulatedLevel } from "./simulated-level.ts";

/** What stays when the machine is off: the tree of names, and how full it is. */
export class Platter {
  readonly root = new SimulatedDirectory();
  capacityBytes = Number.POSITIVE_INFINITY;
  usedBytes = 0;

  get freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.usedBytes);
  }

  /** What bears the name; undefined when nothing does. @throws `ENOTDIR` */
  at(path: string): Thing | undefined {
    let thing: Thing = this.root;
    for (const name of partsOf(path)) {
      if (thing.type !== "directory") throw systemError("ENOTDIR", path);
      const next = thing.get(name);
      if (next === undefined) return undefined;
      thing = next;
    }
    return thing;
  }

  /** @throws `ENOENT`, `ENOTDIR` */
  directory(path: string): SimulatedDirectory {
    const thing = this.at(path);
    if (thing === undefined) throw systemError("ENOENT", path);
    if (thing.type !== "directory") throw systemError("ENOTDIR", path);
    return thing;
  }

  /** Where the name of `path` is, or would be. */
  place(path: string): { readonly directory: SimulatedDirectory; readonly name: string } {
    const parts = partsOf(path);
    const name = parts.pop();
    invariant(name !== undefined, () => `no name in ${path}`);
    return { directory: this.directory(parts.join("/")), name };
  }

  /** Takes room, and says how much of it there was not. */
  takeRoom(bytes: number): number {
    const missing = Math.max(0, bytes - this.freeBytes);
    this.usedBytes += bytes - missing;
    return missing;
  }

  giveRoom(bytes: number): void {
    this.usedBytes -= bytes;
  }

  /** Every file and LevelDB that has a name, in the order of the names. */
  contents(): { readonly path: string; readonly thing: SimulatedFile | SimulatedLevel }[] {
    const found: { readonly path: string; readonly thing: SimulatedFile | SimulatedLevel }[] = [];
    const walk = (directory: SimulatedDirectory, path: string) => {
      for (const [name, thing] of directory.entries().toSorted(([one], [other]) => (one < other ? -1 : 1))) {
        if (thing.type === "directory") walk(thing, `${path}/${name}`);
        else found.push({ path: `${path}/${name}`, thing });
      }
    };
    walk(this.root, "");
    return found;
  }

  /** Counts anew what is taken. */
  measure(): void {
    this.usedBytes = this.contents().reduce((sum, { thing }) => sum + sizeOf(thing), 0);
  }
}

/** What a thing, with all in it, takes on the disk. */
export function sizeOf(thing: Thing): number {
  switch (thing.type) {
    case "file":
      return thing.size;
    case "level":
      return thing.sizeBytes;
    case "directory":
      return thing.entries().reduce((sum, [, inner]) => sum + sizeOf(inner), 0);
  }
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}
