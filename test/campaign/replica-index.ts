import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { shaOfHeader } from "../support/replicas-on-disk.ts";

const headerBytes = 128;

/** Where a node keeps which bytes. A file is read once: what lies under a blob's name never changes, unless by damage. */
export class ReplicaIndex {
  readonly #folder: string;
  /** By path. */
  #shaOf: ReadonlyMap<string, string> = new Map();
  /** By digest. */
  #pathOf: ReadonlyMap<string, string> = new Map();

  constructor(dataDir: string) {
    this.#folder = join(dataDir, "blobs");
  }

  /** Where a replica with this digest in its header lies, of those there were at the last `refresh`. */
  pathOf(sha256: string): string | undefined {
    return this.#pathOf.get(sha256);
  }

  async refresh(): Promise<void> {
    const known = this.#shaOf;
    const found = new Map<string, string>();
    for (const path of await filesBelow(this.#folder)) {
      const sha = known.get(path) ?? (await readSha(path));
      if (sha !== undefined) found.set(path, sha);
    }
    this.#shaOf = found;
    this.#pathOf = new Map([...found].map(([path, sha]) => [sha, path]));
  }
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Undefined for a file that is gone, or is no replica. */
async function readSha(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path);
    const header = Buffer.alloc(headerBytes);
    await file.read(header, 0, headerBytes, 0);
    return shaOfHeader(header);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
