import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";

// What Linux knows of a running node.

/** How many descriptors it has open, without those of the folders of blobs: they stay open on purpose, 256 at most. */
export function descriptorsOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((name) => !/\/blobs\/[0-9a-f]{2}$/.test(targetOf(join(folder, name)))).length;
}

/** Empty for a descriptor that was closed meanwhile. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** The most memory it ever had in use, in bytes (`VmHWM`). */
export function peakMemoryBytes(pid: number): number {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  if (kib === undefined) throw new Error(`process ${pid} says nothing of its memory`);
  return Number(kib) * 1024;
}

/** The sizes of the uploads under way in a data directory. */
export function stagedBytes(dataDir: string): readonly number[] {
  return readdirSync(join(dataDir, "stage"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => sizeOf(join(entry.parentPath, entry.name)));
}

/** 0 for a file that went away meanwhile. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
